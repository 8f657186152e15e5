"""Records made by hand: a study of all steps with invented but plausible numbers."""

from __future__ import annotations

import math
import struct
import zlib
from itertools import pairwise, product
from typing import Any, Literal

from tellapart import records as rec
from tellapart.metrics.scores import SCORES
from tellapart.report.sections import SECTIONS

CIFAR = (
    "airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck",
)  # fmt: skip
LONG = (
    "Amanita muscaria (fly agaric)", "Boletus edulis, the penny bun of European forests",
    "Cantharellus cibarius", "Galerina", "Macrolepiota procera var. procera", "$oyster$",
)  # fmt: skip
HOSTILE = ("<img src=x onerror=alert(1)>", "{{7*7}}", '"></script><script>alert(2)</script>')


def make_estimate(value: float, n: int) -> rec.Estimate:
    half = 1.96 * math.sqrt(value * (1 - value) / n)
    return rec.Estimate(value=value, low=max(value - half, 0), high=min(value + half, 1), n=n)


def make_loss(value: float, n: int) -> rec.Estimate:
    return rec.Estimate(value=value, low=0.9 * value, high=1.1 * value, n=n)


def make_png(side: int = 2) -> bytes:
    def chunk(kind: bytes, body: bytes) -> bytes:
        check = struct.pack(">I", zlib.crc32(kind + body))
        return struct.pack(">I", len(body)) + kind + body + check

    rows = b"".join(
        b"\0" + bytes(c for x in range(side) for c in (x * 255 // side, y * 255 // side, 140))
        for y in range(side)
    )
    head = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        [chunk(b"IHDR", head), chunk(b"IDAT", zlib.compress(rows)), chunk(b"IEND", b"")]
    )


def make_data(classes: tuple[str, ...] = CIFAR) -> rec.DataRecord:
    return rec.DataRecord(
        name="cifar10", origin="keras copy", fingerprint="3f9a1c0de7b2",
        classes=classes,
        counts={
            "train": {name: 4500 - 37 * i for i, name in enumerate(classes)},
            "val": dict.fromkeys(classes, 500),
            "test": dict.fromkeys(classes, 100),
        },
        image_size=32, channels=3, size_reason="all images are 32 x 32", streamed=False,
        sizes={"32x32": 59_998, "31x32": 2}, modes={"RGB": 60_000},
        notes=("3 images carry an orientation mark, which was applied",),
        excluded=(rec.Excluded(path="cat/<b>broken</b>.jpg", reason="cannot be decoded"),),
    )  # fmt: skip


def make_run(
    level: float,
    size: dict[str, Any],
    seed: int = 0,
    chosen: Literal["val", "test"] = "val",
    epochs: int = 20,
    metric: str = "accuracy",
) -> rec.RunRecord:
    rows = []
    for epoch in range(1, epochs + 1):
        gain = 1 - math.exp(-epoch / 4)
        wave = 0.004 * math.sin(epoch * 2.3 + seed + level * 50)
        train = min(level * gain + 0.012 * epoch, 0.999)
        val = level * gain - 0.0012 * max(epoch - 10, 0) + wave
        rows.append(
            rec.EpochRow(
                epoch=epoch,
                seconds=8.0 * epoch,
                lr=1e-3,
                loss=2.3 * (1 - train) + 0.05,
                accuracy=train,
                val_loss=2.3 * (1 - val) + 0.0016 * max(epoch - 8, 0) ** 2,
                val_accuracy=val,
                val_score=val,
            )
        )
    best = max(rows, key=lambda row: row.val_accuracy)
    score = make_estimate(best.val_accuracy, 5000)
    return rec.RunRecord(
        cell=f"c{seed}{int(level * 1e4)}", folder=f"step/c{seed}", model="simple",
        label="simple 32/128", description="the simple network with 32 filters",
        settings={"learning_rate": 1e-3, "batch": 64, "augment": "none", **size}, seed=seed,
        parameters=1_074_122, best_epoch=best.epoch, chosen_on=chosen, seconds=160.0,
        metric=metric, peak_memory_mb=812.0, device="cpu", precision="bfloat16",
        val_accuracy=score, val_score=score, history=tuple(rows), weights="",
    )  # fmt: skip


def make_test(
    classes: tuple[str, ...], level: float, look: int = 1, optimistic: bool = False
) -> rec.TestRecord:
    count, support = len(classes), 100
    confusion = []
    for i in range(count):
        right = round(support * min(max(level + 0.12 * math.sin(i * 1.7), 0), 1))
        row = [0] * count
        row[i] = right
        for k in range(support - right):
            row[(i + 1 + (k * k * 7 + i) % (count - 1)) % count] += 1
        confusion.append(tuple(row))
    hits = sum(row[i] for i, row in enumerate(confusion))
    score, floor = (
        make_estimate(share, count * support) for share in (hits / (count * support), 1 / count)
    )
    scores = []
    for i, name in enumerate(classes):
        guessed = sum(row[i] for row in confusion)
        precision, recall = confusion[i][i] / max(guessed, 1), confusion[i][i] / support
        f1 = 2 * precision * recall / max(precision + recall, 1e-9)
        scores.append(
            rec.ClassScore(
                name=name,
                precision=make_estimate(precision, max(guessed, 1)),
                recall=make_estimate(recall, support),
                f1=make_estimate(f1, support),
                support=support,
            )
        )
    return rec.TestRecord(
        scores=dict.fromkeys((*SCORES, "ece"), score) | {"log_loss": make_loss(1.1, score.n)},
        floor=dict.fromkeys((*SCORES, "ece"), floor) | {"log_loss": make_loss(2.3, score.n)},
        commonest=classes[0], confusion=tuple(confusion), per_class=tuple(scores), look=look,
        predictions="0" * 64, optimistic=optimistic,
    )  # fmt: skip


def fill_model(
    classes: tuple[str, ...], level: float, model: str, look: int, protocol: str, **size: Any
) -> dict[str, Any]:
    optimistic = protocol == "notebook"
    run = make_run(level, size, chosen="test" if optimistic else "val")
    test = make_test(classes, level, look, optimistic)
    return {
        "given": 1300.0, "seconds": 1234.0, "peak_memory_mb": 1510.0, "model": model,
        "parameters": run.parameters, "val_score": run.val_score, "test_score": test.score,
        "honest_score": make_estimate(run.history[-1].val_score, 5000) if optimistic else None,
        "run": run, "test": test,
    }  # fmt: skip


def make_ranking(count: int, taken: int) -> rec.Ranking:
    """Rank candidates of which each is better than the one before, the last by a little."""
    losses = [0.05 * math.exp(-i) - 0.05 * math.exp(1 - count) for i in range(count)]
    return rec.Ranking(
        taken=taken, best=count - 1, margin=0.01, firm=False, limit="images",
        open=(taken, count - 1),
        candidates=tuple(
            rec.Candidate(
                score=0.66 - loss, loss=loss, low=max(0.0, loss - 0.02), high=loss + 0.02,
                possible=loss < 0.02,
                picked=0.7 if place == taken else 0.3 / (count - 1),
            )
            for place, loss in enumerate(losses)
        ),
    )  # fmt: skip


def make_sweep(
    name: Literal["conv", "dense"],
    sizes: tuple[int, ...],
    classes: tuple[str, ...],
    look: int,
    protocol: str,
) -> rec.SweepStep:
    setting = "width" if name == "conv" else "dense"
    runs, rows = [], []
    for i, size in enumerate(sizes):
        level = 0.60 + 0.05 * (1 - math.exp(-i)) + (0.006 * i if name == "dense" else 0)
        mine = [make_run(level + 0.006 * (s - 1), {setting: size}, seed=s) for s in range(3)]
        mine = [run.model_copy(update={"folder": f"{name}/{run.cell}"}) for run in mine]
        runs += mine
        values = tuple(run.val_score.value for run in mine)
        mean = sum(values) / 3
        rows.append(
            rec.SizeRecord(
                size=size,
                parameters=34_000 * size,
                seconds=40 + 0.6 * size,
                val_score=rec.Estimate(value=mean, low=mean - 0.014, high=mean + 0.014, n=5000),
                seeds=values,
                seed_numbers=(0, 1, 2),
                best_epochs=tuple(run.best_epoch for run in mine),
            )
        )
    return rec.SweepStep(
        step=name, answer=f"{sizes[2]} {setting} come within 1 point of the best.",
        setting=setting, sizes=tuple(rows), runs=tuple(runs),
        left_out=(rec.LeftOut(size=2048, reason="9 minutes more on this machine"),),
        ranking=make_ranking(len(sizes), 2),
        **fill_model(classes, 0.66, f"cnn-{setting}-{sizes[2]}", look, protocol, **{setting: 64}),
    )  # fmt: skip


KINDS: tuple[Literal["logistic", "dense"], ...] = ("logistic", "dense")


def make_backbone(name: str, level: float, seconds: float) -> rec.BackboneRecord:
    run = make_run(level, {"dense": 2048})
    return rec.BackboneRecord(
        name=name, source="timm", license="apache-2.0", parameters=2_223_872, features=1280,
        image_size=224, engine="openvino", extraction_seconds=seconds, images_computed=60_000,
        head_parameters=2_643_978, val_score=run.val_score, run=run,
        heads=tuple(
            rec.HeadRecord(
                kind=kind, views=views, parameters=2_643_978, seconds=30.0,
                val_score=make_estimate(level - 0.01 * (2 - views), 5000),
                run=run.folder if (kind, views) == ("dense", 1) else f"transfer/{kind}-{views}",
            )
            for views in (0, 1) for kind in KINDS
        ),
    )  # fmt: skip


def make_learn() -> rec.LearnStep:
    images = (2812, 5625, 11250, 22500, 45000)
    curve = rec.CurveRecord(floor=0.05, scale=0.07, power=0.5, largest=45000)
    points = tuple(
        rec.LearningPoint(
            images=n, seconds=n / 300, seeds=(level - 0.004, level, level + 0.004),
            score=rec.Estimate(value=level, low=level - 0.012, high=level + 0.012, n=5000),
        )
        for n in images
        for level in (0.95 - 0.07 * (n / 45000) ** -0.5,)
    )  # fmt: skip
    return rec.LearnStep(
        model="speed 16, 2 a group", points=points, curve=curve,
        gain=rec.GainRecord(value=0.0205, low=0.012, high=0.031),
        sentence="More data would help: twice as many images should bring about 2.1 points.",
        given=280.0, seconds=300.0, peak_memory_mb=1200.0,
        answer="More data would help: twice as many images should bring about 2.1 points.",
    )  # fmt: skip


def make_vary(settings: dict[str, tuple[rec.Scalar, ...]]) -> rec.VaryStep:
    values: list[rec.Level] = [
        dict(zip(settings, row, strict=True)) for row in product(*settings.values())
    ]
    levels = tuple(
        rec.LevelRecord(
            values=level,
            figures=rec.SizeRecord(
                size=number, parameters=40_000, seconds=12.0, best_epochs=(9, 8),
                seed_numbers=(0, 1),
                val_score=make_estimate(0.7 + 0.02 * number, 5000),
                seeds=(0.69 + 0.02 * number, 0.71 + 0.02 * number),
            ),
        )
        for number, level in enumerate(values)
    )  # fmt: skip
    sentence = "0.001 may be the best: nothing else is as good."
    return rec.VaryStep(
        model="simple 32/128", settings=settings, levels=levels, epochs=10, answer=sentence,
        seconds=90.0, peak_memory_mb=700.0, cut=("further seeds",),
        ranking=make_ranking(len(levels), len(levels) - 2),
    )  # fmt: skip


def make_steps(classes: tuple[str, ...], protocol: str) -> dict[str, Any]:
    trials = tuple(
        rec.TrialRecord(
            number=i, status="failed" if i in (5, 11) else "done", cell=f"t{i}",
            settings={"blocks": 2 + i % 3, "width": 32 * (1 + i % 4), "lr": 1e-3 / (i + 1)},
            parameters=40_000 * (1 + i * i), seconds=60.0 + 7 * i, predict_seconds=2e-5 * (1 + i),
            val_score=None if i in (5, 11) else make_estimate(
                0.62 + 0.16 * math.sin(i * 0.9) ** 2, 5000),
            note="out of memory" if i in (5, 11) else "",
        )
        for i in range(18)
    )  # fmt: skip
    best = max(trials, key=lambda trial: trial.val_score.value if trial.val_score else 0.0)
    names = (
        "mobilenetv2_100.ra_in1k",
        "efficientnet_b0.ra_in1k",
        "vit_small_patch14_dinov2.lvd142m",
    )
    return {
        "inspect": rec.InspectStep(
            seconds=2.1, peak_memory_mb=402.0, data=make_data(classes),
            answer="10 classes, nearly balanced: the balance is no problem.",
            balance="The largest class has 1.08 times the images of the smallest.",
            imbalance_ratio=1.08, majority_share=0.104, duplicates=4, leaked=1,
            findings=(rec.Finding(
                name="leaks", title="Copies on two sides of a split", severity="grave", count=1,
                of=6000, sentence="Images whose picture stands in a split before theirs too: 1.",
                advice="Leave them out.", examples=("a.png (frog) and <b>.png (cat)",),
            ),),
            floors={"nearest picture": make_estimate(0.35, 5000)},
            unchecked=("shortcuts of files, for there are none",),
            samples="inspect/samples.png", sampled=3,
        ),
        "labels": rec.LabelsStep(
            answer="Labels that look wrong: 2 of 6,000.", backbone="mobilenet", image_size=96,
            images=6000, tested=1000, folds=5, score=make_estimate(0.86, 5000),
            bound=make_estimate(0.9, 6000),
            findings=(rec.Finding(
                name="labels", title="Labels that look wrong", severity="mind", count=2, of=6000,
                sentence="Labels that look wrong: 2 of 6,000.", advice="Look at them.",
                examples=("a.png: labelled frog, looks like <b> (98 %)",),
            ),),
            unchecked=("labels of 1 class with fewer than 5 pictures",),
        ),
        "baseline": rec.BaselineStep(
            answer="The simple network is right six times in ten.",
            **fill_model(classes, 0.62, "cnn-32-128", 1, protocol),
        ),
        "conv": make_sweep("conv", (16, 32, 64, 128, 256, 512, 1024), classes, 2, protocol),
        "dense": make_sweep("dense", (64, 128, 256, 512, 1024), classes, 3, protocol),
        "search": rec.SearchStep(
            answer="Three blocks and little rate: 77 %.", trials=trials, best_trial=best.number,
            confirmation=rec.Confirmation(
                score=make_estimate(0.776, 5000), mean=make_estimate(0.771, 5000),
                seeds=(0.769, 0.774, 0.770), luck=0.005, low=-0.007, high=0.017,
            ),
            frontier={"parameters": (0, 1, 2), "seconds": (0, 2), "predict_seconds": (0, 2)},
            **fill_model(classes, 0.77, "cnn-3-blocks", 4, protocol),
        ),
        "transfer": rec.TransferStep(
            answer="A pretrained backbone adds eight points.",
            backbones=tuple(
                make_backbone(name, 0.85 + 0.02 * i, 60.0 * 3**i) for i, name in enumerate(names)
            ),
            advice="DINOv2 is the most accurate; MobileNetV2 takes a ninth of its time.",
            **fill_model(classes, 0.86, names[2], 5, protocol),
        ),
        "learn": make_learn(),
        "vary": make_vary({"lr": (0.0001, 0.001), "optimizer": ("adam", "muon", "sgd")}),
        "model": make_handover(classes),
    }  # fmt: skip


def make_handover(classes: tuple[str, ...]) -> rec.HandoverStep:
    """Each class was called the next one, the first most often."""
    pairs = list(zip(classes, (*classes[1:], classes[0]), strict=True))
    surest = tuple(
        rec.Mistake(
            file=f"{true}/<i>{number}</i>.jpg", true=true, called=called,
            true_share=0.0004, called_share=0.98 - 0.01 * number,
            nearest={f"{called}/near {number}.jpg": called, f"{true}/far {number}.jpg": true},
        )
        for number, (true, called) in enumerate(pairs)
    )  # fmt: skip
    confused = tuple(
        rec.Confusion(
            true=true, called=called, count=len(classes) - number, of=100,
            files=tuple(f"{true}/<b>{one}</b>.jpg" for one in range(2)),
        )
        for number, (true, called) in enumerate(pairs)
    )  # fmt: skip
    promises = (
        rec.Promise(error=0.01, threshold=None, answered=0, count=0, wrong=0),
        rec.Promise(error=0.1, threshold=0.62, answered=0.8, count=800, wrong=61),
    )
    return rec.HandoverStep(
        answer="The transfer's model is handed over.", chosen="transfer", model="head on dinov2",
        parameters=22_000_000, test_score=make_estimate(0.87, 1000), temperature=1.31,
        ece_before=make_loss(0.06, 1000), ece_after=make_loss(0.02, 1000),
        surest=tuple(
            rec.Surest(count=count, wrong=count // 12, threshold=1 - count / 1100)
            for count in (200, 600, 1000)
        ),
        promises=promises, false_alarms=0.01, license="apache-2.0",
        mistakes=rec.Mistakes(
            count=130, of=1000, surest=surest, mapped=True, confused=confused
        ),
    )  # fmt: skip


def make_study(
    classes: tuple[str, ...] = CIFAR,
    protocol: Literal["holdout", "notebook"] = "holdout",
    only: tuple[str, ...] = tuple(SECTIONS),
) -> rec.StudyRecord:
    made = make_steps(classes, protocol)
    steps = {name: made[name] for name in only}
    models = [name for name, step in steps.items() if isinstance(step, rec.ModelStep)]
    comparisons = tuple(
        rec.Comparison(
            first=a, second=b, difference=0.08, low=0.05, high=0.11, only_first=41,
            only_second=121, n=1000, p_value=3e-6, named=True,
            sentence=f"{b} is right more often than {a}: 8.0 points (5.0 to 11.0).",
        )
        for a, b in pairwise(models)
    )  # fmt: skip
    ledger = tuple(
        rec.LookRecord(
            look=i + 1, when="2026-11-20T10:00:00Z", step=name, cell=f"c{i}",
            purpose="report the step's model",
        )
        for i, name in enumerate(models)
    )  # fmt: skip
    return rec.StudyRecord(
        version="0.1.0", command="tellapart study cifar10 --seeds 3 --minutes 120",
        data=make_data(classes), protocol=protocol,
        environment={"python": "3.11.7", "torch": "2.10.0", "cores": 2, "memory_gb": 24.5},
        minutes=120, precision="bfloat16",
        seconds=6120.0, peak_memory_mb=2417.0, steps=steps, comparisons=comparisons,
        ledger=ledger,
    )  # fmt: skip
