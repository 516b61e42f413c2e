"""Data, setup and result: judgements only where the numbers carry them."""

from tests.report.made_up import finished_run, real, said_by


def test_data_setup_and_time(good_text):
    assert (
        "from flower_photos: 500 readable photos in five classes, 400 for training and 100 for validation" in good_text
    )
    assert "found 0 unreadable files and 1 group of identical photos, none of them in more than one class" in good_text
    assert "trained on A Processor, 2 threads, in float32 arithmetic, with Python 3.11.7, PyTorch 2.14.1" in good_text
    assert "Training took 6 min 6 s: 1 min 1 s for the first epoch, and 1 min 1 s for each further one" in good_text
    assert "Of the network's 10 mistakes, 10 have a probability above 90%" in good_text


def test_overfitting_with_steady_accuracy_is_overconfidence(tmp_path):
    restless = [0.5, 0.9, 0.7, 0.88, 0.6, 0.86]
    text = said_by(finished_run(tmp_path / "a", real(), accuracies=restless, train_accuracy=1.0, val_loss=1.2))
    assert "lowest in epoch 4 (0.320) and ends 275% above that, while accuracy holds: the network becomes over" in text


def test_a_network_that_gets_worse_is_not_said_to_be_overconfident(tmp_path):
    falling = [0.5, 0.9, 0.88, 0.85, 0.8, 0.6]
    text = said_by(finished_run(tmp_path / "a", real(), accuracies=falling, val_loss=1.2))
    assert "and ends 275% above that." in text
    assert "becomes overconfident" not in text


def test_a_loss_that_rises_is_not_said_to_fall(tmp_path):
    text = said_by(finished_run(tmp_path / "a", real(), train_loss=1.9))
    assert "The training loss goes from 1.500 in the first epoch (0) to 1.900 in the last (5), the valid" in text


def test_without_mistakes_none_are_listed(tmp_path):
    text = said_by(finished_run(tmp_path / "a", real(), right=20))
    assert "mistake" not in text
