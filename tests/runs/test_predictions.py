"""`predictions.csv`: what was expected, whatever happens to the file."""

from naslib_diffusion.runs import Evaluation, Forecast, PredictionLog, read_predictions
from naslib_diffusion.search import Prediction


def test_predictions_come_back_and_random_ones_have_none(tmp_path):
    path = tmp_path / "predictions.csv"
    assert read_predictions(path) == []
    with PredictionLog(path) as log:
        log.append(Evaluation(0, 1, "a", 1.0), None)
        log.append(Evaluation(0, 2, "b", 2.0), Prediction(-1.0, 0.1 + 0.2, 0.5))
    assert read_predictions(path) == [Forecast(0, 2, 0.1 + 0.2, 0.5)]


def test_the_last_prediction_of_an_evaluation_counts_and_a_line_that_was_cut_is_left_out(tmp_path):
    path = tmp_path / "predictions.csv"
    path.write_bytes(b"seed,step,mean,deviation\n0,2,1.0,0.5\n0,3,nan,0.5\n0,2,2.0,0.5\n0,4,1")
    with PredictionLog(path) as log:
        log.append(Evaluation(1, 1, "a", 1.0), Prediction(0.0, 3.0, 0.25))
    assert read_predictions(path) == [Forecast(0, 2, 2.0, 0.5), Forecast(1, 1, 3.0, 0.25)]


def test_a_damaged_file_begins_anew(tmp_path):
    path = tmp_path / "predictions.csv"
    path.write_bytes(b"seed,step,mean,deviation\n\xff,x\n0,2,1.0,0.5\n")
    assert read_predictions(path) == []
    with PredictionLog(path) as log:
        log.append(Evaluation(1, 1, "a", 1.0), Prediction(0.0, 3.0, 0.25))
    assert read_predictions(path) == [Forecast(1, 1, 3.0, 0.25)]
