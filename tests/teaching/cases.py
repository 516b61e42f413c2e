"""Hand-ins for the tests: wrong ones, right but different ones, hostile ones, and scripts in the course's own form."""

import json
import textwrap
from pathlib import Path

from teaching.checks.blocks import read_file, read_script
from teaching.release import cell_sources

ROOT = Path(__file__).parent.parent.parent
SOLUTION = ROOT / "teaching" / "main.py"
TEXT = SOLUTION.read_text(encoding="utf-8")

# The course's own form: one list for all photos, in the middle of an expression; zeroing and comparing are given.
COURSE = """
import torch
import torch.nn as nn
import torch.optim as optim
from torch.optim import lr_scheduler
from torchvision import datasets, transforms, models
from torch.utils.data import random_split
import os
import time
import copy

data_dir = 'EX2/flower_dataset'

data_transforms = transforms.Compose([
        # GRADED FUNCTION: Add five data augmentation methods, Normalizating and Tranform to tensor
        ### START SOLUTION HERE ###
    transforms.RandomResizedCrop(224),
    transforms.RandomHorizontalFlip(),
    transforms.RandomVerticalFlip(),
    transforms.RandomRotation(20),
    transforms.ColorJitter(0.2, 0.2, 0.2, 0.1),
    transforms.ToTensor(),
    transforms.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
        ### END SOLUTION HERE ###
])

full_dataset = datasets.ImageFolder(data_dir, data_transforms)
train_size = int(0.8 * len(full_dataset))
train_dataset, val_dataset = random_split(full_dataset, [train_size, len(full_dataset) - train_size])
train_loader = torch.utils.data.DataLoader(train_dataset, batch_size=32, shuffle=True, num_workers=4)
val_loader = torch.utils.data.DataLoader(val_dataset, batch_size=32, shuffle=True, num_workers=4)
dataloaders = {'train': train_loader, 'val': val_loader}
dataset_sizes = {'train': len(train_dataset), 'val': len(val_dataset)}
class_names = full_dataset.classes

model = models.resnet18(pretrained=True)

# GRADED FUNCTION: Modify the last fully connected layer of model
### START SOLUTION HERE ###
num_ftrs = model.fc.in_features
model.fc = nn.Linear(num_ftrs, len(class_names))
### END SOLUTION HERE ###

# GRADED FUNCTION: Define the loss function
### START SOLUTION HERE ###
criterion = nn.CrossEntropyLoss()
### END SOLUTION HERE ###

# GRADED FUNCTION: Define the optimizer
### START SOLUTION HERE ###
optimizer = optim.SGD(model.parameters(), lr=0.001, momentum=0.9)
### END SOLUTION HERE ###

scheduler = lr_scheduler.StepLR(optimizer, step_size=7, gamma=0.1)

def train_model(model, criterion, optimizer, scheduler, num_epochs=25):
    best_model_wts = copy.deepcopy(model.state_dict())
    best_acc = 0.0
    device = torch.device("cuda:0" if torch.cuda.is_available() else "cpu")
    model = model.to(device)
    for epoch in range(num_epochs):
        print(f'Epoch {epoch}/{num_epochs - 1}')
        for phase in ['train', 'val']:
            if phase == 'train':
                model.train()
            else:
                model.eval()
            running_loss = 0.0
            running_corrects = 0
            for inputs, labels in dataloaders[phase]:
                inputs = inputs.to(device)
                labels = labels.to(device)
                optimizer.zero_grad()
                with torch.set_grad_enabled(phase == 'train'):
                    outputs = model(inputs)
                    _, preds = torch.max(outputs, 1)
                    loss = criterion(outputs, labels)
                    if phase == 'train':
                        # GRADED FUNCTION: Backward pass and optimization
                        ### START SOLUTION HERE ###
                        loss.backward()
                        optimizer.step()
                        ### END SOLUTION HERE ###
                running_loss += loss.item() * inputs.size(0)
                running_corrects += torch.sum(preds == labels.data)
            if phase == 'train':
                scheduler.step()
            epoch_loss = running_loss / dataset_sizes[phase]
            epoch_acc = running_corrects.double() / dataset_sizes[phase]
            print(f'{phase} Loss: {epoch_loss:.4f} Acc: {epoch_acc:.4f}')
            if phase == 'val' and epoch_acc > best_acc:
                best_acc = epoch_acc
                best_model_wts = copy.deepcopy(model.state_dict())
                save_dir = 'Ex2/work_dir'
                os.makedirs(save_dir, exist_ok=True)
                # GRADED FUNCTION: Save the best model
                ### START SOLUTION HERE ###
                torch.save(model.state_dict(), os.path.join(save_dir, 'best_model.pth'))
                ### END SOLUTION HERE ###
        print()
    model.load_state_dict(best_model_wts)
    return model

device = torch.device("cuda:0" if torch.cuda.is_available() else "cpu")
model = model.to(device)
model = train_model(model, criterion, optimizer, scheduler, num_epochs=25)
"""


def changed(*replacements, text=TEXT):
    """Return the solution with pieces of text replaced; each must be there."""
    for old, new in replacements:
        assert old in text, old
        text = text.replace(old, new)
    return text


def answered(section, code, text=TEXT):
    """Return the solution with another answer in one block."""
    script = read_script("main.py", text.encode())
    block, lines = script.blocks[section], script.lines
    first = next((line for line in lines[block.first - 1 : block.last] if line.strip()), "")
    indent = first[: len(first) - len(first.lstrip())]
    body = textwrap.indent(textwrap.dedent(code).strip("\n"), indent)
    return "\n".join([*lines[: block.first - 1], body, *lines[block.last :]])


def solution_block(section):
    """Return the code of one of the solution's blocks."""
    return textwrap.dedent(read_file(SOLUTION).code(section))


JITTER = "        transforms.ColorJitter(BRIGHTNESS, CONTRAST, SATURATION, HUE),\n"
NORMALIZE = "        transforms.Normalize(IMAGENET_MEAN, IMAGENET_STD),\n"
TO_TENSOR = "        transforms.ToTensor(),\n"
TRAIN_END = "        transforms.Resize(IMAGE_SIZE, antialias=True),\n"
ZERO = "                        optimizer.zero_grad()\n"
BACKWARD = "                        loss.backward()\n"
STEP = "                        optimizer.step()\n"
BEST = '            if phase == "val" and epoch_acc > best_acc:\n                best_acc = epoch_acc\n'
SAVE = 'torch.save(model.state_dict(), os.path.join(SAVE_DIR, "best_model.pth"))'
FC = "model.fc = nn.Linear(model.fc.in_features, len(class_names))"
LOSS = "nn.CrossEntropyLoss(label_smoothing=LABEL_SMOOTHING)"
SGD = "optim.SGD(model.parameters(), lr=LR, momentum=MOMENTUM, nesterov=NESTEROV, weight_decay=WEIGHT_DECAY)"

V2 = """
from torchvision.transforms import v2
train_transform = v2.Compose([
    v2.ToImage(), v2.RandomResizedCrop((224, 224), antialias=True), v2.RandomHorizontalFlip(), v2.RandomVerticalFlip(),
    v2.RandomRotation(20), v2.ColorJitter(0.3, 0.3), v2.ToDtype(torch.float32, scale=True),
    v2.Normalize([0.5] * 3, [0.5] * 3),
])
val_transform = v2.Compose([
    v2.ToImage(), v2.Resize((224, 224)), v2.ToDtype(torch.float32, scale=True), v2.Normalize([0.5] * 3, [0.5] * 3),
])
"""
OTHERS = """
mean, std = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
augment = [
    transforms.Resize((256, 256)), transforms.RandomCrop(224), transforms.RandomHorizontalFlip(),
    transforms.RandomApply([transforms.GaussianBlur(5)], p=0.2), transforms.RandomGrayscale(0.1),
    transforms.RandomPerspective(0.3), transforms.ToTensor(), transforms.Normalize(mean, std),
    transforms.RandomErasing(0.2),
]
train_transform = transforms.Compose(augment)
val_transform = transforms.Compose([
    transforms.Resize((224, 224)), transforms.ToTensor(), transforms.Normalize(mean, std),
])
"""
POLICY = """
train_transform = transforms.Compose([
    transforms.RandomResizedCrop(192), transforms.TrivialAugmentWide(), transforms.ToTensor(),
    transforms.Normalize(IMAGENET_MEAN, IMAGENET_STD),
])
val_transform = transforms.Compose([
    transforms.Resize(224), transforms.CenterCrop(192), transforms.ToTensor(),
    transforms.Normalize(IMAGENET_MEAN, IMAGENET_STD),
])
"""
TWO_LAYERS = """
width = model.fc.in_features
model.fc = nn.Sequential(nn.Linear(width, 256), nn.ReLU(), nn.Dropout(0.3), nn.Linear(256, len(class_names)))
"""
FROZEN = """
for parameter in model.parameters():
    parameter.requires_grad = False
model.fc = nn.Linear(model.fc.in_features, len(class_names))
"""
HEAD_LATER = """
better = epoch_acc > best_acc and phase == "val"
if better:
    best_acc, best_weights = epoch_acc, {name: each.clone() for name, each in model.state_dict().items()}
if phase == "val":
    torch.save(best_weights, os.path.join(SAVE_DIR, "best_model.pth"))
"""
GROUPS = """
head = list(model.fc.parameters())
rest = [p for n, p in model.named_parameters() if not n.startswith("fc")]
optimizer = optim.AdamW([{"params": rest, "lr": 1e-4}, {"params": head, "lr": 1e-3}], weight_decay=0.01)
"""
OWN_HEAD = """
class Head(nn.Module):
    def __init__(self, features, classes):
        super().__init__()
        self.norm, self.out = nn.BatchNorm1d(features), nn.Linear(features, classes)

    def forward(self, x):
        return self.out(self.norm(x))

model.fc = Head(model.fc.in_features, len(class_names))
"""
FOCAL = """
def criterion(outputs, labels):
    log_p = nn.functional.log_softmax(outputs, 1).gather(1, labels[:, None]).squeeze(1)
    return (-(1 - log_p.exp()) ** 2 * log_p).mean()
"""

HELPER = """
def build(train):
    steps = [transforms.Resize((224, 224))]
    if train:
        steps += [{}transforms.RandomRotation(10), transforms.ColorJitter(0.2)]
    return transforms.Compose([*steps, transforms.ToTensor(), transforms.Normalize(IMAGENET_MEAN, IMAGENET_STD)])

train_transform, val_transform = build(True), build(False)
"""
FUNCTION = """
import torchvision.transforms.functional as TF

def train_transform(photo):
    photo = TF.rotate(TF.resize(photo, [256, 256]), torch.empty(1).uniform_(-20, 20).item())
    photo = TF.hflip(photo) if torch.rand(1) < 0.5 else TF.vflip(photo)
    top, left, height, width = transforms.RandomCrop.get_params(photo, (224, 224))
    photo = TF.adjust_brightness(TF.crop(photo, top, left, height, width), 0.8 + 0.4 * torch.rand(1).item())
    return TF.normalize(TF.to_tensor(photo), IMAGENET_MEAN, IMAGENET_STD)

size, to_tensor = transforms.Resize((224, 224)), transforms.ToTensor()
val_transform = transforms.Compose([size, to_tensor, transforms.Normalize(IMAGENET_MEAN, IMAGENET_STD)])
"""
ONE_AGAINST_ALL = """
def criterion(outputs, labels):
    return nn.functional.binary_cross_entropy_with_logits(outputs, torch.eye(len(class_names))[labels])
"""
WRAPPER = """
class Net(nn.Module):
    def __init__(self, backbone, classes):
        super().__init__()
        features, backbone.fc = backbone.fc.in_features, nn.Identity()
        self.backbone, self.head = backbone, nn.Linear(features, classes)

    def forward(self, x):
        return self.head(self.backbone(x))

model = Net(model, len(class_names))
"""
MIXED_PRECISION = """
scaler = torch.amp.GradScaler("cuda", enabled=torch.cuda.is_available())
if model.training:
    with torch.autocast("cpu"):
        loss = criterion(model(inputs), labels)
    optimizer.zero_grad()
    scaler.scale(loss).backward()
    scaler.unscale_(optimizer)
    nn.utils.clip_grad_norm_(model.parameters(), 5)
    scaler.step(optimizer)
    scaler.update()
"""
COPIED_FILE = """
import shutil
if phase == "val":
    torch.save(model.state_dict(), os.path.join(SAVE_DIR, "last.pth"))
    if epoch_acc > best_acc:
        best_acc = epoch_acc
        shutil.copyfile(os.path.join(SAVE_DIR, "last.pth"), os.path.join(SAVE_DIR, "best_model.pth"))
"""
LOWEST_LOSS = """
if epoch == 0:
    best_loss = float("inf")
if phase == "val" and epoch_loss < best_loss:
    best_loss, best_acc = epoch_loss, epoch_acc
    torch.save(model.state_dict(), os.path.join(SAVE_DIR, "best_model.pth"))
"""

# Name → (the section that is lost, the hand-in).
MUTANTS = {
    "validation augmented": (
        1,
        changed(("val_transform = transforms.Compose(", "val_transform = train_transform\n_ = transforms.Compose(")),
    ),
    "a flip in validation": (
        1,
        changed(
            (
                "        transforms.Resize(VAL_RESIZE),\n",
                "        transforms.Resize(VAL_RESIZE),\n        transforms.RandomHorizontalFlip(),\n",
            )
        ),
    ),
    "four augmentations": (1, changed((JITTER, ""))),
    "the same flip twice": (1, changed((JITTER, "        transforms.RandomHorizontalFlip(0.4),\n"))),
    "a flip that never happens": (1, changed(("RandomVerticalFlip(VERTICAL_FLIP)", "RandomVerticalFlip(0.0)"))),
    "a jitter without strength": (1, changed((JITTER, "        transforms.ColorJitter(),\n"))),
    "no Normalize": (1, changed((NORMALIZE, ""))),
    "no ToTensor": (1, changed((TO_TENSOR, ""))),
    "no resize": (1, changed((TRAIN_END, ""))),
    "sizes that differ": (1, changed(("transforms.CenterCrop(CROP_SIZE)", "transforms.RandomGrayscale(0.5)"))),
    "wrong validation size": (1, changed(("        transforms.CenterCrop(IMAGE_SIZE),\n", ""))),
    "no validation transform": (1, changed(("val_transform = transforms.Compose(", "test_it = transforms.Compose("))),
    "normalized with 0 to 255": (
        1,
        changed((NORMALIZE, "        transforms.Lambda(lambda x: x * 255),\n" + NORMALIZE)),
    ),
    "another size in validation": (1, changed(("CenterCrop(IMAGE_SIZE)", "CenterCrop(IMAGE_SIZE - 32)"))),
    "methods in a helper, but three": (1, answered(1, HELPER.format("transforms.RandomHorizontalFlip(), "))),
    "a step that does nothing": (1, changed((JITTER, "        transforms.Lambda(lambda photo: photo),\n"))),
    "v2 without scale": (1, answered(1, V2.replace(", scale=True", ""))),
    "head of the wrong size": (2, changed(("len(class_names))\n    else", "1000)\n    else"))),
    "head appended": (2, changed((FC, "model.fc = nn.Sequential(model.fc, nn.Linear(1000, len(class_names)))"))),
    "head appended to the network": (
        2,
        changed((FC, "model = nn.Sequential(model, nn.Linear(1000, len(class_names)))")),
    ),
    "backbone re-initialised": (2, changed((FC, "model = models.resnet18(num_classes=len(class_names))"))),
    "one stage re-initialised": (2, changed((FC, FC + "\n        model.layer4 = models.resnet18().layer4"))),
    "softmax in the network": (
        2,
        changed((FC, "model.fc = nn.Sequential(nn.Linear(model.fc.in_features, len(class_names)), nn.Softmax(1))")),
    ),
    "head of the wrong width": (2, changed((FC, "model.fc = nn.Linear(2048, len(class_names))"))),
    "another network": (
        2,
        answered(
            2, "model = nn.Sequential(nn.Conv2d(3, 8, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 5))"
        ),
    ),
    "head left as it is": (2, answered(2, "features = model.fc.in_features")),
    "a sigmoid in the network": (
        2,
        changed((FC, FC.replace("nn.Linear(", "nn.Sequential(nn.Linear(") + ", nn.Sigmoid())")),
    ),
    "head frozen along": (2, changed((FC, FC + "\n        model.requires_grad_(False)"))),
    "only the size written over": (2, answered(2, "model.fc.out_features = len(class_names)")),
    "loss under another name": (3, answered(3, "loss_function = nn.CrossEntropyLoss()")),
    "a class that counts nothing": (3, answered(3, "criterion = nn.CrossEntropyLoss(ignore_index=0)")),
    "Brier score": (3, answered(3, "criterion = lambda z, y: ((z.softmax(1) - torch.eye(5)[y]) ** 2).mean()")),
    "loss on softmax": (
        3,
        answered(3, "criterion = lambda outputs, labels: nn.CrossEntropyLoss()(outputs.softmax(1), labels)"),
    ),
    "NLLLoss on logits": (3, answered(3, "criterion = nn.NLLLoss()")),
    "squared error": (3, answered(3, "criterion = nn.MSELoss()")),
    "binary cross-entropy": (3, answered(3, "criterion = nn.BCEWithLogitsLoss()")),
    "loss of the wrong sign": (
        3,
        answered(3, "criterion = lambda outputs, labels: -nn.functional.cross_entropy(outputs, labels)"),
    ),
    "loss without reduction": (3, answered(3, "criterion = nn.CrossEntropyLoss(reduction='none')")),
    "a class for a loss": (3, answered(3, "criterion = nn.CrossEntropyLoss")),
    "optimizer of the head": (4, changed(("optim.SGD(model.parameters()", "optim.SGD(model.fc.parameters()"))),
    "optimizer under another name": (4, changed(("optimizer = " + SGD, "opt = " + SGD))),
    "a group that learns nothing": (4, answered(4, GROUPS.replace("1e-4", "0.0"))),
    "optimizer without the head": (4, answered(4, "optimizer = optim.SGD(model.layer4.parameters(), lr=LR)")),
    "learning rate of zero": (4, changed(("lr=LR,", "lr=0.0,"))),
    "optimizer that climbs": (4, changed(("lr=LR,", "lr=LR, maximize=True,"))),
    "optimizer of another network": (
        4,
        changed(("optim.SGD(model.parameters()", "optim.SGD(models.resnet18().parameters()")),
    ),
    "an optimizer that is none": (4, answered(4, "optimizer = list(model.parameters())")),
    "no backward": (5, changed((BACKWARD, ""))),
    "no zero_grad": (5, changed((ZERO, ""))),
    "no step": (5, changed((STEP, ""))),
    "step before backward": (5, changed((BACKWARD + STEP, STEP + BACKWARD))),
    "zeroed before the step": (5, changed((ZERO + BACKWARD, BACKWARD + ZERO))),
    "two steps": (5, changed((STEP, STEP + STEP))),
    "zeroed once an epoch": (5, changed((ZERO, ZERO.replace("opt", "if photos == 0:\n" + " " * 28 + "opt")))),
    "a step that is not called": (5, changed((STEP, STEP.replace("()", "")))),
    "eval mode forgotten": (5, changed(('model.train(phase == "train")', "model.train()"))),
    "train mode forgotten": (
        5,
        changed(('model.train(phase == "train")', 'model.train(phase == "train" and epoch == 0)')),
    ),
    "gradients in validation": (5, changed(('torch.set_grad_enabled(phase == "train")', "torch.enable_grad()"))),
    "steps in validation": (
        5,
        changed(
            ('                    if phase == "train":\n', "                    if True:\n"),
            ('torch.set_grad_enabled(phase == "train")', "torch.enable_grad()"),
        ),
    ),
    "steps in validation alone": (
        5,
        changed(
            ('                    if phase == "train":\n', '                    if phase == "val":\n'),
            ('torch.set_grad_enabled(phase == "train")', "torch.enable_grad()"),
        ),
    ),
    "kept without a copy": (6, answered(6, HEAD_LATER.replace("each.clone()", "each"))),
    "the last epoch's": (6, changed(("epoch_acc > best_acc", "epoch == num_epochs - 1"))),
    "best by the highest loss": (6, changed((BEST, BEST.replace("epoch_acc", "epoch_loss")))),
    "the last saved": (
        6,
        changed((BEST, '            if phase == "val":\n                best_acc = max(best_acc, epoch_acc)\n')),
    ),
    "saved before compared": (6, answered(6, SAVE + "\n" + textwrap.dedent(BEST))),
    "best never remembered": (6, changed((BEST, BEST.replace("                best_acc = epoch_acc\n", "")))),
    "the worst saved": (
        6,
        changed(
            (
                BEST,
                BEST.replace("epoch_acc > best_acc", "(best_acc == 0 or epoch_acc < best_acc)"),
            )
        ),
    ),
    "best by training accuracy": (6, changed((BEST, BEST.replace('"val"', '"train"')))),
    "model saved whole": (6, changed((SAVE, SAVE.replace("model.state_dict()", "model")))),
    "accuracy saved instead": (6, changed((SAVE, SAVE.replace("model.state_dict()", "{'accuracy': best_acc}")))),
    "nothing saved": (6, changed(("                " + SAVE, "                pass"))),
    "another network saved": (6, changed((SAVE, SAVE.replace("model.state_dict()", "models.resnet18().state_dict()")))),
    "optimizer saved": (6, changed((SAVE, SAVE.replace("model.state_dict()", "optimizer.state_dict()")))),
}

RIGHT = {
    "the solution": TEXT,
    "v2 transforms": answered(1, V2),
    "other methods": answered(1, OTHERS),
    "a policy": answered(1, POLICY),
    "random resized crop": changed(("transforms.CenterCrop(CROP_SIZE)", "transforms.RandomResizedCrop(IMAGE_SIZE)")),
    "head of two layers": answered(2, TWO_LAYERS),
    "a plain head": answered(2, "model.fc = nn.Linear(model.fc.in_features, 5)"),
    "a frozen backbone": answered(2, FROZEN),
    "a head of one's own": answered(2, OWN_HEAD),
    "label smoothing": answered(3, "criterion = nn.CrossEntropyLoss(label_smoothing=0.1)"),
    "class weights": answered(
        3, "weight = torch.ones(5)\nweight[0] = 2.0\ncriterion = nn.CrossEntropyLoss(weight=weight)"
    ),
    "a function for a loss": answered(3, "criterion = nn.functional.cross_entropy"),
    "focal loss": answered(3, FOCAL),
    "log-softmax and NLLLoss": answered(
        3,
        "criterion = nn.NLLLoss()",
        answered(
            2, "model.fc = nn.Sequential(nn.Linear(model.fc.in_features, len(class_names)), nn.LogSoftmax(dim=1))"
        ),
    ),
    "Adam": answered(4, "optimizer = optim.Adam(model.parameters(), lr=3e-4)"),
    "AdamW with groups": answered(4, GROUPS),
    "RMSprop": answered(4, "optimizer = torch.optim.RMSprop(params=model.parameters(), lr=1e-4)"),
    "only what is trainable": answered(
        4, "optimizer = optim.Adam(filter(lambda p: p.requires_grad, model.parameters()), 1e-3)", answered(2, FROZEN)
    ),
    "another schedule": changed(
        (
            "lr_scheduler.StepLR(optimizer, step_size=LR_STEP, gamma=LR_GAMMA)",
            "lr_scheduler.CosineAnnealingLR(optimizer, EPOCHS)",
        )
    ),
    "MobileNetV2": changed(('BACKBONE = "resnet18"', 'BACKBONE = "mobilenet_v2"')),
    "model.classifier": answered(
        2,
        "model.classifier[1] = nn.Linear(1280, 5)",
        changed(('BACKBONE = "resnet18"', 'BACKBONE = "efficientnet_b0"')),
    ),
    "clipped gradients": changed(
        (STEP, "                        nn.utils.clip_grad_norm_(model.parameters(), 1.0)\n" + STEP)
    ),
    "set_to_none": changed((ZERO + BACKWARD + STEP, ZERO.replace("()", "(set_to_none=True)") + BACKWARD + STEP)),
    "zeroed after the step": changed((ZERO + BACKWARD + STEP, BACKWARD + STEP + ZERO)),
    "model.zero_grad": changed((ZERO, ZERO.replace("optimizer", "model"))),
    "best kept, then saved": answered(6, HEAD_LATER),
    "the last of equals": changed(("epoch_acc > best_acc", "epoch_acc >= best_acc")),
    "one epoch": changed(("EPOCHS = 25", "EPOCHS = 1")),
    "torch.load as it was": changed(("# Settings\n", "torch.load = lambda *_, **__: {}\n")),
    "methods in a helper": answered(
        1,
        HELPER.format(
            "transforms.RandomCrop(200), transforms.Resize(224), transforms.RandomInvert(), transforms.Pad(1), "
        ),
    ),
    "a function": answered(1, FUNCTION),
    "a preset for validation": changed(
        (
            "val_transform = transforms.Compose(",
            "val_transform = models.ResNet18_Weights.DEFAULT.transforms()\n_ = transforms.Compose(",
        )
    ),
    "a wrapper": answered(2, WRAPPER),
    "loaded in the block": answered(2, "model = models.resnet18(pretrained=True)\n" + FC),
    "a network of one size": answered(
        2,
        "model.heads.head = nn.Linear(model.heads.head.in_features, len(class_names))",
        changed(('BACKBONE = "resnet18"', 'BACKBONE = "vit_b_16"')),
    ),
    "one class against all": answered(3, ONE_AGAINST_ALL),
    "margin loss": answered(3, "criterion = nn.MultiMarginLoss()"),
    "torch.autograd.backward": changed((BACKWARD, BACKWARD.replace("loss.backward(", "torch.autograd.backward(loss"))),
    "mixed precision": answered(5, MIXED_PRECISION),
    "best by the lowest loss": answered(6, LOWEST_LOSS),
    "an open file": changed(
        (
            SAVE,
            'with open(SAVE_DIR + "/best_model.pth", "wb") as file:\n'
            + " " * 20
            + "torch.save(model.state_dict(), file)",
        )
    ),
    "replaced at once": changed(
        (
            SAVE,
            SAVE.replace(".pth", ".tmp")
            + "\n"
            + " " * 16
            + 'os.replace(SAVE_DIR + "/best_model.tmp", SAVE_DIR + "/best_model.pth")',
        )
    ),
    "the last copied": answered(6, COPIED_FILE),
    "the course's form": COURSE,
    "the course's form, list of one": COURSE.replace(
        "    transforms.RandomResizedCrop(224),", "    transforms.Resize(256), transforms.RandomCrop(224),"
    ),
    "without comments": "\n".join(
        line
        for line in TEXT.split("\n")
        if not line.strip().startswith(("# GRADED", "# val_", "# pre", "# step", "# the"))
    ),
}

FULL_MARKS = """
print('{"passed": true, "points": 60}')
for fd in range(3, 64):
    try:
        os.write(fd, b'{"passed": true}')
    except OSError:
        pass
"""

FORGE = """
import json
import sys

def forge(frame):
    while frame:
        if "key" in frame.f_locals:
            lines = [frame.f_locals["key"], "right", "all is well", "", "", ""]
            os.write(frame.f_locals["send"], "\\n".join(lines).encode())
            os._exit(0)
        frame = frame.f_back
    raise RuntimeError("nothing to forge")
"""
GENERATOR = """
def look():
    forge(looking.gi_frame)
    yield

looking = look()
next(looking)
"""
JSON = """
import json
dumps = json.dumps
json.dumps = lambda answer, **_: dumps(answer | {"passed": True})
os.write = lambda pipe, text: os.writev(pipe, [text.replace(b"\\n\\n", b"\\nright\\n", 1)])
raise RuntimeError("wrong")
"""
NATIVE_PROGRAM = """
import _posixsubprocess
_posixsubprocess.fork_exec([b"touch"], [b"/usr/bin/touch"], True, (), None, None, *[-1] * 8, *[False] * 2)
"""
# Name → (the code of a block, what is said about it). VICTIM is a folder elsewhere.
HOSTILE = {
    "endless loop": ("while True:\n    pass", "did not end"),
    "exit": ("exit()", "ends the program"),
    "hard exit": ("os._exit(0)", "ends the process"),
    "fork bomb": ("while True:\n    os.fork()", "starts other processes"),
    "20 GB": ("heavy = torch.ones(20 * 10**9, dtype=torch.uint8)", "memory"),
    "10 GB of output": ("for _ in range(10_000):\n    print('x' * 10**6)", "more than 64 MB"),
    "deletes files": ("import shutil\nshutil.rmtree(VICTIM)", "deletes or changes files outside"),
    "opens sockets": ("import socket\nsocket.create_connection(('127.0.0.1', 80))", "opens network connections"),
    "reads the tests": ("import sys\nopen(sys.modules['teaching.checks'].__file__).read()", "reads the tests"),
    "patches torch": (
        "torch.equal = lambda *_: True\nnn.CrossEntropyLoss.forward = lambda *_: 0",
        "replaces functions",
    ),
    "patches the checks": (
        "import sys\nsys.modules['teaching.checks.verdict'].require = lambda *_: None",
        "replaces functions",
    ),
    "prints full marks": (FULL_MARKS, "spoils its answer"),
    "forges the answer": (FORGE + "forge(sys._getframe())", "looks into the checks"),
    "forges it from a generator": (FORGE + GENERATOR, "nothing to forge"),
    "patches what writes the answer": (JSON, "replaces functions"),
    "patches builtins": ("import builtins\nbuiltins.all = builtins.any = lambda *_: True", "replaces functions"),
    "lowers what is asked": ("import sys\nsys.modules['teaching.checks.augmentation'].ASKED = 0", "ASKED"),
    "patches a table": ("import sys\nsys.modules['teaching.checks.probes'].JUDGES[3] = str", "JUDGES"),
    "patches the guard": (
        "import sys\nsys.modules['teaching.checks.guard'].Guard._refuse = lambda *_: None",
        "replaces functions",
    ),
    "moves files": ("open('x', 'w').close()\nos.rename('x', VICTIM + '/x')", "deletes or changes files outside"),
    "writes files by native code": (
        "torch._C.PyTorchFileWriter(VICTIM + '/x.pt')\nraise OSError('none')",
        "Permission denied",
    ),
    "starts a program by native code": (NATIVE_PROGRAM, "starts other programs"),
    "reads the memory": ("open('/proc/self/mem', 'rb').seek(4096)", "reads the tests"),
    "warns without end": (
        "for i in range(10**5):\n    os.makedirs(f'/srv/{i}')\nraise RuntimeError('enough')",
        "enough",
    ),
    "starts a program": ("import subprocess\nsubprocess.run(['true'])", "starts other programs"),
}


def hostile(attacks):
    """Return the solution with an attack in front of the answer of some blocks, as ``{section: name}``."""
    text = TEXT
    for section, name in attacks.items():
        text = answered(section, HOSTILE[name][0] + "\n" + solution_block(section), text)
    return text


def as_notebook(cells):
    """Return a notebook of these code cells, with what else notebooks hold."""
    notebook = [{"cell_type": "markdown", "source": "# hello"}, {"cell_type": "code", "source": "%matplotlib inline"}]
    notebook += [{"cell_type": "code", "source": cell.splitlines(keepends=True)} for cell in cells]
    return json.dumps({"cells": notebook, "nbformat": 4, "metadata": {}}).encode()


CELLS = cell_sources(TEXT)
HEAD, SECTION_1, *FUNCTIONS, BEGIN, SECTION_2, SECTION_3, SECTION_4, LOOP, RUN = CELLS
MOVED = [LOOP, HEAD, SECTION_4, SECTION_1, SECTION_3, *FUNCTIONS, BEGIN, SECTION_2, RUN]
COPIED = [
    HEAD,
    SECTION_1,
    SECTION_1,
    *FUNCTIONS,
    BEGIN,
    SECTION_2,
    SECTION_3.replace("nn.Cross", "0 # nn.Cross"),
    *CELLS[6:],
]
START, END = "### START SOLUTION HERE ###", "### END SOLUTION HERE ###"
CHINESE = TEXT.replace("# GRADED 3 (10 points): ", "# 定义损失函数 GRADED 3 ")
OF_ONE_MACHINE = changed(
    ('DATA_DIR = "flower_dataset"', "DATA_DIR = r'D:\\作业\\flower_dataset'"),
    ('SAVE_DIR = "work_dir"', "SAVE_DIR = '/home/xiaoming/ECE371/work_dir'"),
)
ON_GPU = (
    ('torch.device("cuda" if torch.cuda.is_available() else "cpu")', 'torch.device("cuda:0")'),
    ("    model = load_backbone()\n", "    model = load_backbone().cuda()\n"),
)
MISSING = "import seaborn as sns\nfrom tqdm_none import tqdm\n"
TQDM = ("in range(num_epochs)", "in tqdm(range(num_epochs))")
NO_PHOTOS = ("def main():\n", "def main():\n    print(os.listdir(DATA_DIR), open(DATA_DIR + '/classes.txt').read())\n")
# Name → (file name, content, sections that are lost, a warning).
ODD = {
    "no markers": ("main.py", TEXT.replace(START, "").replace(END, ""), {1, 2, 3, 4, 5, 6}, "No markers"),
    "markers twice": ("main.py", TEXT.replace(START, f"{START}\n{START}"), set(), "stands twice"),
    "markers nested": ("main.py", answered(4, f"{START}\n{solution_block(4)}\n{END}"), set(), "stands twice"),
    "markers nested below code": (
        "main.py",
        answered(4, f"rate = LR\n{START}\n{solution_block(4)}\n{END}"),
        set(),
        "are nested",
    ),
    "an END missing": ("main.py", changed((f"{LOSS}\n    {END}\n", f"{LOSS}\n")), set(), "has no END marker"),
    "a syntax error": ("main.py", answered(3, "criterion = nn.CrossEntropyLoss(("), {3}, ""),
    "a syntax error in the first block": ("main.py", answered(1, "train_transform = ["), {1}, ""),
    "a syntax error in the course's form": ("main.py", answered(1, "transforms.ToTensor(", COURSE), {1}, ""),
    "no Python around": ("main.py", "import torch nn\n" + COURSE, set(), ""),
    "Windows line ends": ("main.py", TEXT.replace("\n", "\r\n"), set(), ""),
    "GBK": ("main.py", CHINESE.encode("gbk"), set(), "encoded as gb18030"),
    "a byte order mark": ("main.py", CHINESE.encode("utf-8-sig"), set(), ""),
    "tabs": ("main.py", TEXT.replace("    ", "\t"), set(), ""),
    "tabs and spaces": ("main.py", changed((STEP, STEP.replace("    ", "\t"))), set(), ""),
    "another name": ("作业1 final(2).py", TEXT, set(), ""),
    "a notebook": ("a.ipynb", as_notebook(CELLS), set(), ""),
    "moved cells": ("a.ipynb", as_notebook(MOVED), set(), ""),
    "a copied cell": ("a.ipynb", as_notebook(COPIED), set(), "Section 1 is answered in lines"),
}
SURROUNDINGS = {
    "paths of one machine": ("main.py", OF_ONE_MACHINE, set(), "a path of one machine"),
    "cuda without a GPU": ("main.py", changed(*ON_GPU), set(), "It calls .cuda()"),
    "a library that is not there": ("main.py", MISSING + changed(TQDM), set(), "tqdm_none is not installed"),
    "photos that are not there": ("main.py", changed(NO_PHOTOS), set(), "could not be run"),
}
