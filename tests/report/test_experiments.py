"""Data, setup and result: judgements only where the numbers carry them."""

from pathlib import Path
from types import SimpleNamespace

from helpers.report import experiments
from helpers.runs.history import Epoch, History
from tests.report.made_up import finished_run, real, said_by, text_of


def test_data_setup_and_time(good_text):
    assert (
        "from flower_photos: 500 readable photos in five classes, 400 for training and 100 for validation" in good_text
    )
    assert "found no unreadable file and 1 group of identical photos, none of them in more than one class" in good_text
    assert "trained on A Processor, 2 threads, in float32 arithmetic, with Python 3.11.7, PyTorch 2.14.1" in good_text
    assert "Training took 6 min 6 s: 1 min 1 s for the first epoch, and 1 min 1 s for each further one" in good_text
    assert "Of the network's 10 mistakes, 10 have a probability above 90%. Most confident: daisy" in good_text
    assert ".jpg" not in good_text


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


# The learning rate falls before the third and the fifth epoch. Before the first drop the loss ripples by .1.
FALLING = [
    Epoch(0, 1e-3, 0.9, 0.5, 0.5, 0.80),
    Epoch(1, 1e-3, 0.8, 0.6, 0.6, 0.78),
    Epoch(2, 1e-4, 0.5, 0.8, 0.3, 0.90),
    Epoch(3, 1e-4, 0.4, 0.8, 0.35, 0.90),
    Epoch(4, 1e-5, 0.4, 0.8, 0.34, 0.91),
    Epoch(5, 1e-5, 0.4, 0.8, 0.35, 0.91),
]


def drops(epochs):
    facts = SimpleNamespace(run=SimpleNamespace(history=History(epochs)), flowers=True, demo=False)
    return experiments._drops(facts)


def test_what_each_drop_of_the_learning_rate_did_by_hand():
    text, table = drops(FALLING)
    text = text_of(text)
    assert "loss and accuracy went from 0.600 to 0.300 and 78.00% to 90.00% before epoch 2; from 0.350 to 0.340" in text
    assert "Only the drop before epoch 2 changes the loss by more than the ripple before it." in text
    assert table["rows"][0] == ["0.001", "0–1", "0.850", "0.550", "0.100", "79.00"]
    assert table["rows"][1] == ["10⁻⁴", "2–3", "0.450", "0.325", "0.050", "90.00"]
    calm = [each._replace(val_loss=0.5 + 0.01 * (i % 2)) for i, each in enumerate(FALLING)]
    assert "None of the drops changes the loss" in text_of(drops(calm)[0])


def test_the_papers_ripples_are_compared_in_its_epochs_and_a_smooth_schedule_has_no_drops():
    smooth = [Epoch(i, 1e-3 / (i + 1), 1.0, 0.5, 0.5 + 0.02 * (i % 2) * (8 <= i <= 13), 0.5) for i in range(15)]
    (text,) = map(text_of, drops(smooth))
    assert "In epochs 8 to 13, where the published report discusses ripples, ours is 0.020." in text
    assert "the validation loss changes by 0.009 on average" in text  # six of 14 steps by .02
    assert "published" not in text_of(drops(smooth[:13])[0])
    assert drops(smooth[:1]) == []


def test_the_log_is_the_published_one_to_the_letter():
    first = Epoch(0, 1e-3, 0.7942, 0.6888, 0.2127, 0.9333)
    epochs = [first, *(first._replace(epoch=i) for i in range(1, 24)), Epoch(24, 1e-6, 0.03, 0.99, 0.1, 550 / 570)]
    lines = experiments.log_lines(History(epochs), 813.2)
    assert lines[:6] == [
        "Epoch 0/24",
        "-----",
        "Learning Rate: 0.001000",
        "train Loss: 0.7942 Acc: 0.6888",
        "val Loss: 0.2127 Acc: 0.9333",
        "",
    ]
    assert lines[-2:] == ["Training complete in 13m 33s", "Best val Acc: 0.964912"]
    assert experiments.log_lines(History([first]), 59.7)[-2] == "Training complete in 1m 0s"


def test_first_epoch_best_epoch_and_time_stand_beside_the_papers(good_text):
    assert (
        "There the first epoch reaches 93.33%, here 45.00%; the best epoch is 17 there, 3 here; 25 epochs" in good_text
    )
    assert "took 13 min 33 s on a machine that is not named, 6 here 6 min 6 s." in good_text


def test_label_smoothing_is_named_as_the_cause_of_underconfidence_though_older_results_do_not_repeat_it():
    run = Path(__file__).parents[2] / "report" / "results" / "best-mobilenet_v2"
    assert "as label smoothing makes it" in said_by(run)


def test_the_origin_of_the_photos_is_told_of_the_projects_own_alone(good_text):
    results = Path(__file__).parents[2] / "report" / "results"
    assert "re-encoded as JPEG with quality 70" in said_by(results / "published-mobilenet_v2")
    assert "re-encoded" not in good_text
