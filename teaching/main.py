"""ECE371 Assignment 1: fine-tune an ImageNet-pretrained network to tell five kinds of flowers apart.

Run it beside the photos: python main.py
"""

import os
import time

import torch
from torch import nn, optim
from torch.optim import lr_scheduler
from torch.utils.data import DataLoader, Subset
from torchvision import datasets, models, transforms

# Settings
DATA_DIR = "flower_dataset"  # <class>/*.jpg, or train/<class>/*.jpg and val/<class>/*.jpg
SAVE_DIR = "work_dir"
BACKBONE = "resnet18"
WEIGHTS = "DEFAULT"  # ImageNet's; the path of a .pth file; or None: random
SEED = 0
EPOCHS = 25
BATCH_SIZE = 32
WORKERS = 2

ROTATION = 30  # degrees
CROP_SIZE = 448  # px
HORIZONTAL_FLIP, VERTICAL_FLIP = 0.5, 0.5  # probabilities
BRIGHTNESS, CONTRAST, SATURATION, HUE = 0.2, 0.2, 0.2, 0.1
IMAGE_SIZE, VAL_RESIZE = 224, 256  # px
DROPOUT = 0.5
LABEL_SMOOTHING = 0.0
LR, MOMENTUM, NESTEROV, WEIGHT_DECAY = 1e-3, 0.9, True, 5e-4
LR_STEP, LR_GAMMA = 7, 0.1  # epochs, factor

IMAGENET_MEAN, IMAGENET_STD = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]

# GRADED 1 (10 points): Define train_transform (five data augmentation methods, to tensor, normalize) and
# val_transform (the same size, to tensor, normalize, nothing random).
### START SOLUTION HERE ###
train_transform = transforms.Compose(
    [
        transforms.RandomRotation(ROTATION),
        transforms.CenterCrop(CROP_SIZE),
        transforms.RandomHorizontalFlip(HORIZONTAL_FLIP),
        transforms.RandomVerticalFlip(VERTICAL_FLIP),
        transforms.ColorJitter(BRIGHTNESS, CONTRAST, SATURATION, HUE),
        transforms.ToTensor(),
        transforms.Resize(IMAGE_SIZE, antialias=True),
        transforms.Normalize(IMAGENET_MEAN, IMAGENET_STD),
    ]
)
val_transform = transforms.Compose(
    [
        transforms.Resize(VAL_RESIZE),
        transforms.CenterCrop(IMAGE_SIZE),
        transforms.ToTensor(),
        transforms.Normalize(IMAGENET_MEAN, IMAGENET_STD),
    ]
)
### END SOLUTION HERE ###


def load_photos(folder):
    """Return a loader each for training and validation photos, and the names of the classes."""
    if os.path.isdir(os.path.join(folder, "train")):
        train = datasets.ImageFolder(os.path.join(folder, "train"), train_transform)
        val = datasets.ImageFolder(os.path.join(folder, "val"), val_transform)
        class_names = train.classes
    else:
        # Two views of one folder: validation photos must not be augmented. The seed fixes who is on which side.
        train, val = datasets.ImageFolder(folder, train_transform), datasets.ImageFolder(folder, val_transform)
        class_names = train.classes
        order = torch.randperm(len(train), generator=torch.Generator().manual_seed(SEED)).tolist()
        train_size = int(0.8 * len(order))
        train, val = Subset(train, order[:train_size]), Subset(val, order[train_size:])
    dataloaders = {
        "train": DataLoader(train, batch_size=BATCH_SIZE, shuffle=True, num_workers=WORKERS),
        "val": DataLoader(val, batch_size=BATCH_SIZE, shuffle=False, num_workers=WORKERS),
    }
    return dataloaders, class_names


def load_backbone():
    """Return the network as it was trained on ImageNet, with its 1,000 outputs."""
    if WEIGHTS in ("DEFAULT", None):
        return models.get_model(BACKBONE, weights=WEIGHTS)
    model = models.get_model(BACKBONE, weights=None)
    model.load_state_dict(torch.load(WEIGHTS, weights_only=True))
    return model


def main():
    """Train on the photos in DATA_DIR."""
    torch.manual_seed(SEED)
    dataloaders, class_names = load_photos(DATA_DIR)
    model = load_backbone()

    # GRADED 2 (10 points): Modify the last fully connected layer of model: one output per class. The rest stays
    # pretrained.
    ### START SOLUTION HERE ###
    if hasattr(model, "fc"):
        # The dropout has no parameters: the state dict keeps torchvision's names.
        model.avgpool = nn.Sequential(model.avgpool, nn.Dropout(DROPOUT))
        model.fc = nn.Linear(model.fc.in_features, len(class_names))
    else:
        model.classifier[0] = nn.Dropout(DROPOUT)
        model.classifier[-1] = nn.Linear(model.classifier[-1].in_features, len(class_names))
    ### END SOLUTION HERE ###

    # GRADED 3 (10 points): Define the loss function, as criterion.
    ### START SOLUTION HERE ###
    criterion = nn.CrossEntropyLoss(label_smoothing=LABEL_SMOOTHING)
    ### END SOLUTION HERE ###

    # GRADED 4 (10 points): Define the optimizer of all parameters that are to be trained, as optimizer.
    ### START SOLUTION HERE ###
    optimizer = optim.SGD(model.parameters(), lr=LR, momentum=MOMENTUM, nesterov=NESTEROV, weight_decay=WEIGHT_DECAY)
    ### END SOLUTION HERE ###

    scheduler = lr_scheduler.StepLR(optimizer, step_size=LR_STEP, gamma=LR_GAMMA)
    return train_model(model, dataloaders, criterion, optimizer, scheduler, EPOCHS)


def train_model(model, dataloaders, criterion, optimizer, scheduler, num_epochs):
    """Train, save the best model, and return (phase, loss, accuracy) of each phase of each epoch."""
    since = time.time()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    model = model.to(device)
    os.makedirs(SAVE_DIR, exist_ok=True)
    best_acc = 0.0
    history = []
    for epoch in range(num_epochs):
        print(f"Epoch {epoch}/{num_epochs - 1}")
        print("-----")
        print(f"Learning Rate: {optimizer.param_groups[0]['lr']:.6f}")
        for phase in ("train", "val"):
            model.train(phase == "train")
            running_loss, running_corrects, photos = 0.0, 0, 0
            for inputs, labels in dataloaders[phase]:
                inputs, labels = inputs.to(device), labels.to(device)
                with torch.set_grad_enabled(phase == "train"):
                    outputs = model(inputs)
                    loss = criterion(outputs, labels)
                    # GRADED 5 (10 points): Backward pass and optimization: zero the gradients, compute them, take a
                    # step. In training only.
                    ### START SOLUTION HERE ###
                    if phase == "train":
                        optimizer.zero_grad()
                        loss.backward()
                        optimizer.step()
                    ### END SOLUTION HERE ###
                running_loss += loss.item() * len(labels)
                running_corrects += (outputs.argmax(1) == labels).sum().item()
                photos += len(labels)
            epoch_loss, epoch_acc = running_loss / photos, running_corrects / photos
            history.append((phase, epoch_loss, epoch_acc))
            print(f"{phase} Loss: {epoch_loss:.4f} Acc: {epoch_acc:.4f}")
            # GRADED 6 (10 points): Save the best model's state dict as best_model.pth in SAVE_DIR. The best is that of
            # the epoch with the highest validation accuracy so far: keep that in best_acc.
            ### START SOLUTION HERE ###
            if phase == "val" and epoch_acc > best_acc:
                best_acc = epoch_acc
                torch.save(model.state_dict(), os.path.join(SAVE_DIR, "best_model.pth"))
            ### END SOLUTION HERE ###
        scheduler.step()
        print()
    minutes, seconds = divmod(round(time.time() - since), 60)
    print(f"Training complete in {minutes:.0f}m {seconds:.0f}s")
    print(f"Best val Acc: {best_acc:.6f}")
    return history


if __name__ == "__main__":
    main()
