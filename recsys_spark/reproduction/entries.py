"""Published results to reproduce: data, protocol, settings, published values and targets.

Settings were chosen on validation data. Test data are used only for the values in the table.
"""

from typing import Final

from recsys_spark.reproduction.entry import Entry, Target

__all__ = ["ENTRIES", "PER_USER"]

# Ratings of 3 and more; users and items with at least 10 of them, filtered repeatedly; split 8:1:1 by user.
PER_USER = {"protocol": "per_user_random", "min_rating": "3", "min_user_items": "10", "min_item_users": "10"}
POSITIVE = {"min_rating": "4", "min_user_items": "5", "held_out_users": "750"}
PLAYED = {"protocol": "per_user_random", "min_user_items": "10", "min_item_users": "10"}
STRONG_RANDOM = {"protocol": "strong_random", **POSITIVE}
STRONG_TIME = {"protocol": "strong_time", **POSITIVE}
RATINGS = {"protocol": "rating_random"}
FOLDS = {"protocol": "rating_folds", "validation_share": "0.05"}
STRONG_20M = {"protocol": "strong_random", "min_rating": "4", "min_user_items": "5", "held_out_users": "10000"}

UNPUBLISHED = (Target("rmse", None, "", None),)
UNPUBLISHED_LISTS = (Target("ndcg@10", None, "", None), Target("recall@10", None, "", None))
BOTH: Final = "train_and_validation"

RECBOLE = "RecBole"
SVAE_PAPER = "Sachdeva et al. 2019"
AUTOREC_PAPER = "Sedhain et al. 2015"
EASE_PAPER = "Steck 2019"
VAE_PAPER = "Liang et al. 2018"

# ALS with an objective that MLlib lacks: weight of the pairs without plays and exponent of the regularisation.
TUNED = {"solver": "block_cg", "weighting": "binary", "max_iter": "12", "start_scale": "0.1"}
TUNED_ON_MOVIES = {**TUNED, "unobserved_weight": "5.4", "reg_param": "0.77", "reg_exponent": "0.865"}
TUNED_ON_ARTISTS = {**TUNED, "unobserved_weight": "0.4", "reg_param": "0.14", "reg_exponent": "1"}

ENTRIES = (
    Entry(
        "EASE",
        "ml-1m",
        "ease",
        PER_USER,
        (Target("ndcg@10", 0.2865, RECBOLE, 0.286), Target("recall@10", 0.2139, RECBOLE, None)),
        repeats=5,
        settings={"reg": "1000"},
    ),
    Entry(
        "CDAE",
        "ml-1m",
        "cdae",
        PER_USER,
        (Target("ndcg@10", 0.2500, RECBOLE, 0.250), Target("recall@10", 0.1936, RECBOLE, None)),
        repeats=3,
    ),
    Entry(
        "Mult-VAE",
        "ml-1m",
        "mult_vae",
        PER_USER,
        (Target("ndcg@10", 0.2523, RECBOLE, 0.245), Target("recall@10", 0.1995, RECBOLE, None)),
        repeats=3,
    ),
    Entry(
        "ALS, implicit",
        "ml-1m",
        "als",
        PER_USER,
        (Target("ndcg@10", None, "", 0.240), Target("recall@10", None, "", None)),
        repeats=5,
    ),
    Entry("ALS, block_cg", "ml-1m", "als", PER_USER, UNPUBLISHED_LISTS, 5, {"solver": "block_cg"}),
    Entry("ALS, block_cg, tuned", "ml-1m", "als", PER_USER, UNPUBLISHED_LISTS, 5, TUNED_ON_MOVIES),
    Entry("EASE", "lastfm-gender", "ease", PLAYED, UNPUBLISHED_LISTS, 5, {"reg": "100"}),
    Entry("ALS, implicit", "lastfm-gender", "als", PLAYED, UNPUBLISHED_LISTS, 5),
    Entry("ALS, block_cg", "lastfm-gender", "als", PLAYED, UNPUBLISHED_LISTS, 5, {"solver": "block_cg"}),
    Entry("ALS, block_cg, tuned", "lastfm-gender", "als", PLAYED, UNPUBLISHED_LISTS, 5, TUNED_ON_ARTISTS),
    Entry(
        "Mult-VAE",
        "ml-1m",
        "mult_vae",
        STRONG_RANDOM,
        (Target("ndcg@100", 0.398, SVAE_PAPER, 0.398), Target("recall@100", 0.597, SVAE_PAPER, 0.592)),
        repeats=3,
    ),
    Entry(
        "EASE",
        "ml-1m",
        "ease",
        STRONG_RANDOM,
        (Target("ndcg@100", None, "", 0.415), Target("recall@100", None, "", None)),
        repeats=5,
        settings={"reg": "400"},
    ),
    Entry(
        "SVAE",
        "ml-1m",
        "svae",
        STRONG_TIME,
        (Target("ndcg@100", 0.299, SVAE_PAPER, 0.295), Target("recall@100", 0.491, SVAE_PAPER, None)),
        repeats=3,
    ),
    Entry(
        "EASE",
        "ml-1m",
        "ease",
        STRONG_TIME,
        (Target("ndcg@100", None, "", None), Target("recall@100", None, "", None)),
        repeats=3,
        settings={"reg": "400"},
    ),
    Entry("I-AutoRec", "ml-1m", "autorec_item", RATINGS, (Target("rmse", 0.831, AUTOREC_PAPER, 0.832),), 3, fit=BOTH),
    Entry("U-AutoRec", "ml-1m", "autorec_user", RATINGS, (Target("rmse", 0.874, AUTOREC_PAPER, 0.876),), 3, fit=BOTH),
    Entry("DeepRec", "ml-1m", "deeprec", RATINGS, (Target("rmse", None, "", 0.876),), 3, fit=BOTH),
    # The best step size of each on validation data.
    Entry("DeepRec", "ml-100k", "deeprec", RATINGS, UNPUBLISHED, 3, {"learning_rate": "0.01"}, BOTH),
    Entry(
        "DeepRec, re-feeding",
        "ml-100k",
        "deeprec",
        RATINGS,
        UNPUBLISHED,
        repeats=3,
        settings={"learning_rate": "0.005", "refeed": "true"},
        fit=BOTH,
    ),
    Entry(
        "ALS, explicit",
        "ml-100k",
        "als",
        FOLDS,
        (Target("rmse", 0.965, "Recommenders, 75/25", 0.935),),
        repeats=5,
        settings={"implicit": "false"},
        fit=BOTH,
    ),
    Entry(
        "Matrix factorisation",
        "ml-1m",
        "matrix_factorization",
        RATINGS,
        (Target("rmse", 0.845, AUTOREC_PAPER, 0.850),),
        repeats=3,
        fit=BOTH,
    ),
    Entry(
        "Matrix factorisation",
        "ml-100k",
        "matrix_factorization",
        FOLDS,
        (Target("rmse", 0.934, "Surprise, SVD", 0.925),),
        repeats=5,
        fit=BOTH,
    ),
    Entry(
        "Matrix factorisation, with profiles",
        "ml-100k",
        "matrix_factorization",
        FOLDS,
        UNPUBLISHED,
        repeats=5,
        settings={"side_information": "age_group,occupation"},
        fit=BOTH,
    ),
    Entry(
        "Neural encoder",
        "ml-100k",
        "neural_encoder",
        FOLDS,
        (Target("rmse", None, "", 0.945),),
        repeats=5,
        fit=BOTH,
    ),
    Entry(
        "Neural encoder, as first trained",
        "ml-100k",
        "neural_encoder",
        FOLDS,
        UNPUBLISHED,
        repeats=1,
        settings={
            "initialisation": "random",
            "dense_rate": "1",
            "units": "500",
            "l2": "0",
            "bias_l2": "0",
            "biased": "false",
            "average": "0",
            "epochs": "50",
            "patience": "0",
            "batch_rows": "2",
        },
    ),
    Entry(
        "EASE",
        "ml-20m",
        "ease",
        STRONG_20M,
        (Target("ndcg@100", 0.420, EASE_PAPER, None), Target("recall_capped@50", 0.521, EASE_PAPER, None)),
        repeats=1,
        settings={"reg": "500", "max_items": "30000"},
    ),
    Entry(
        "Mult-VAE",
        "ml-20m",
        "mult_vae",
        STRONG_20M,
        (Target("ndcg@100", 0.426, VAE_PAPER, None), Target("recall_capped@50", 0.537, VAE_PAPER, None)),
        repeats=1,
        settings={
            "batch_rows": "500",
            "latent": "200",
            "anneal_steps": "20000",
            "learning_rate": "0.001",
            "average": "0",
            "weight_decay": "0",
            "dropout": "0.5",
        },
    ),
)
