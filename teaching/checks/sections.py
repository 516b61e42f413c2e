"""The six graded sections: what is asked, for how many points, and how their blocks are recognized."""

from typing import NamedTuple


class Section(NamedTuple):
    """One graded block."""

    number: int
    title: str
    expected: str
    hint: str
    comment: str  # pattern of the comments that announce it
    code: str  # pattern of the code that solves it
    points: int = 10


SECTIONS = (
    Section(
        1,
        "Augmentation",
        "five augmentation methods that change pixels; a normalized tensor of one size; nothing random in validation",
        "Print type(x), x.shape, x.min() and x.max() of a transformed photo, and show the same photo twice.",
        r"augment|normaliz|增强",
        r"transforms?\.|\bv2\.|\bT\.\w+\(|ToTensor|Compose",
    ),
    Section(
        2,
        "Last layer",
        "a last layer with one output per class instead of the old one; all other weights as they were pretrained",
        "Print the model: its last layer should have as many outputs as there are classes, and be the only new one.",
        r"last\s+(fully|layer|linear|fc)|fully[- ]connected|\bhead\b|全连接|最后一层",
        r"\.fc\b|\.classifier\b|\.heads?\b|nn\.Linear|in_features",
    ),
    Section(
        3,
        "Loss function",
        "a loss that falls to about 0 as the logit of the right class rises, and never saturates for wrong answers",
        "Evaluate the loss by hand: for five zero logits, cross-entropy is ln 5 = 1.609.",
        r"loss\s+function|define\s+the\s+loss|损失函数",
        r"Loss\b|cross_entropy|criterion\s*=",
    ),
    Section(
        4,
        "Optimizer",
        "an optimizer that holds every trainable parameter and lowers the loss",
        "Compare the number of parameters in optimizer.param_groups with that of model.parameters().",
        r"define\s+the\s+optimi|optimizer|优化器",
        r"\boptim\.|\bSGD\(|\bAdam\w*\(|RMSprop\(|optimizer\s*=",
    ),
    Section(
        5,
        "Backward pass and optimization",
        "for each training batch: gradients zeroed, backward pass, one step; neither in validation",
        "Three calls are needed, in the right order, and only while phase is 'train'.",
        r"backward|反向传播",
        r"\.backward\(|\.step\(|zero_grad",
    ),
    Section(
        6,
        "Saving the best model",
        "the state dict of the epoch with the best validation accuracy on disk in the end, and loadable",
        "Compare the accuracy with the best so far first; save model.state_dict() only if it is better.",
        r"save\s+(the\s+)?(best|model)|best\s+model|保存",
        r"torch\.save|state_dict|best_acc",
    ),
)
ORDER_OF_COMMENTS = (5, 6, 1, 2, 3, 4)  # "backward pass and optimization" also says "optimiz"
