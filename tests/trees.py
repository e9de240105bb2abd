"""Tiny data sets in the true layouts of published ones, with their odd cases; for the tests of readers and packs."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

WIDTH, HEIGHT = 64, 48
META = """[METAINFO]
url: https://example.org/v?a=1
object_class: ship
motion_class: boat
root_class: object
resolution: (64, 48)
"""
Box = Sequence[float]


def picture(path: Path, box: Box | None = None) -> None:
    """A noisy picture with a bright patch at `box`; noise and colour depend on the path's name."""
    rng = np.random.default_rng(sum(path.as_posix()[-40:].encode()))
    image = rng.integers(60, 140, (HEIGHT, WIDTH, 3), np.uint8)
    if box is not None:
        x, y, w, h = (round(v) for v in box)
        image[max(y, 0) : y + h, max(x, 0) : x + w] = rng.integers(150, 256, 3, np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    # OpenCV knows no upper-case ending on every platform: encode, then write.
    done, content = cv2.imencode(".png" if path.suffix == ".png" else ".jpg", image)
    assert done
    path.write_bytes(content.tobytes())


def text(path: Path, content: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content, encoding="utf-8")
    return path


def rows(boxes: Iterable[Box], separator: str = ",") -> str:
    return "".join(separator.join(f"{value:g}" for value in box) + "\n" for box in boxes)


def moving(count: int) -> list[Box]:
    """Boxes that wander to the right."""
    return [(10 + 2 * i, 12, 20, 16) for i in range(count)]


def got10k(root: Path) -> Path:
    """Two training sequences (in the second the target is absent, covered and without size), one test sequence."""
    for number in (1, 2):
        name = f"GOT-10k_Train_{number:06d}"
        folder, boxes = root / "train" / name, moving(5)
        if number == 2:
            boxes[3] = (30, 12, 0, 0)
        for i, box in enumerate(boxes, 1):
            picture(folder / f"{i:08d}.jpg", box)
        text(folder / "groundtruth.txt", rows(boxes, ",") + "\n")  # the last line may be empty
        text(folder / "absence.label", "0\n1\n0\n0\n0\n" if number == 2 else "0\n" * 5)
        text(folder / "cover.label", "8\n8\n0\n8\n5\n" if number == 2 else "8\n" * 5)
        text(folder / "cut_by_image.label", "0\n" * 5)
        text(folder / "meta_info.ini", META)
    text(root / "train" / "list.txt", "GOT-10k_Train_000001\nGOT-10k_Train_000002\n")
    test = root / "test" / "GOT-10k_Test_000001"
    for i in (1, 2, 3):
        picture(test / f"{i:08d}.jpg", (10, 12, 20, 16))
    text(test / "groundtruth.txt", "10.0000,12.0000,20.0000,16.0000")
    text(root / "test" / "list.txt", "GOT-10k_Test_000001\n")
    return root


def trackingnet(root: Path) -> Path:
    """A chunk with a name that begins with "-" and frames 0.jpg … 10.jpg, and the test part with one box."""
    for i, box in enumerate(moving(11)):
        picture(root / "TRAIN_0" / "frames" / "-a_b_0" / f"{i}.jpg", box)
    text(root / "TRAIN_0" / "anno" / "-a_b_0.txt", rows(moving(11)))
    for i in range(2):
        picture(root / "TEST" / "frames" / "xyz_1" / f"{i}.jpg", (10, 12, 20, 16))
    text(root / "TEST" / "anno" / "xyz_1.txt", "10,12,20,16")
    return root


def lasot(root: Path) -> Path:
    """A training and a test sequence, flags in one line and one a line, and one sequence of the extension."""
    for name, flags in (("airplane-2", "0,1,0,0\n"), ("airplane-1", "0\n0\n0\n0\n")):
        folder = root / "airplane" / name
        boxes = moving(4)
        boxes[3] = (16, 12, 0, 0)
        for i, box in enumerate(boxes, 1):
            picture(folder / "img" / f"{i:08d}.jpg", box)
        text(folder / "groundtruth.txt", rows(boxes))
        text(folder / "full_occlusion.txt", flags)
        text(folder / "out_of_view.txt", "0,0,1,0")
        text(folder / "nlp.txt", "white plane")
    folder = root / "misc" / "misc-1"
    picture(folder / "img" / "00000001.jpg", (10, 12, 20, 16))
    text(folder / "groundtruth.txt", "10,12,20,16\n")
    text(folder / "full_occlusion.txt", "0")
    text(folder / "out_of_view.txt", "0")
    return root


def annotation(path: Path, objects: Iterable[tuple[int | None, str, Box]]) -> None:
    """An XML file of ILSVRC: corners, xmax before xmin."""
    parts = [f"<annotation><folder>f</folder><filename>{path.stem}</filename>"]
    parts.append(f"<size><width>{WIDTH}</width><height>{HEIGHT}</height></size>")
    for track, name, (x, y, w, h) in objects:
        identity = "" if track is None else f"<trackid>{track}</trackid>"
        corners = f"<xmax>{x + w}</xmax><xmin>{x}</xmin><ymax>{y + h}</ymax><ymin>{y}</ymin>"
        parts.append(f"\n<object>{identity}<name>{name}</name><bndbox>{corners}</bndbox>")
        parts.append("<occluded>1</occluded><generated>0</generated></object>")
    text(path, "".join([*parts, "\n</annotation>\n"]))


def ilsvrc_vid(root: Path) -> Path:
    """One training video: track 0 in all frames but the third, track 1 from the second on, no object in the last."""
    video = "ILSVRC2015_VID_train_0000/ILSVRC2015_train_00000000"
    boxes = moving(5)
    for i, box in enumerate(boxes):
        objects: list[tuple[int | None, str, Box]] = []
        if i not in (2, 4):
            objects.append((0, "n02084071", box))
        if 1 <= i < 4:
            objects.append((1, "n02958343", (2, 2, 10, 10)))
        annotation(root / "Annotations/VID/train" / video / f"{i:06d}.xml", objects)
        picture(root / "Data/VID/train" / video / f"{i:06d}.JPEG", box)
    annotation(root / "Annotations/VID/val/ILSVRC2015_val_00000000/000000.xml", [(3, "n02084071", boxes[0])])
    picture(root / "Data/VID/val/ILSVRC2015_val_00000000/000000.JPEG", boxes[0])
    return root


def ilsvrc_det(root: Path) -> Path:
    """Folders of classes (2013) and flat ones (2014, val), one picture without objects."""
    for name, count in (
        ("train/ILSVRC2013_train/n01440764/n01440764_10026", 2),
        ("train/ILSVRC2014_train_0000/ILSVRC2014_train_00000001", 1),
        ("train/ILSVRC2014_train_0000/ILSVRC2014_train_00000002", 0),
        ("val/ILSVRC2012_val_00000001", 1),
    ):
        boxes: tuple[Box, ...] = ((10, 12, 20, 16), (40, 4, 12, 20))[:count]
        annotation(root / "Annotations/DET" / f"{name}.xml", [(None, "n01440764", box) for box in boxes])
        picture(root / "Data/DET" / f"{name}.JPEG", boxes[0] if boxes else None)
    return root


def coco(root: Path) -> Path:
    """Two pictures: two objects, a crowd and a box without height; a third one without objects."""
    for number in (9, 25, 30):
        picture(root / "train2017" / f"{number:012d}.jpg", (10, 12, 20, 16))
    boxes = (
        (9, 1, [10, 12, 20.5, 16], 0),
        (9, 90, [40, 4, 12, 20], 0),
        (9, 1, [0, 0, 60, 40], 1),
        (25, 1, [3, 3, 9, 0], 0),
    )
    content = {
        "images": [{"id": n, "file_name": f"{n:012d}.jpg", "width": WIDTH, "height": HEIGHT} for n in (9, 25, 30)],
        "annotations": [
            {"id": i, "image_id": image, "category_id": category, "bbox": box, "iscrowd": crowd}
            for i, (image, category, box, crowd) in enumerate(boxes)
        ],
        "categories": [{"id": 1, "name": "person"}, {"id": 90, "name": "toothbrush"}],
    }
    text(root / "annotations" / "instances_train2017.json", json.dumps(content))
    return root


def youtube_bb(root: Path) -> Path:
    """Two objects of a video whose id holds "_"; one frame absent, one not fetched, a second video gone; gzip."""
    lines = []
    for second, presence in ((1, "present"), (2, "absent"), (3, "present"), (4, "present")):
        for thing in (0, 1):
            box = "-1,-1,-1,-1" if presence == "absent" else f"{0.25 + thing / 4},0.5,0.125,0.375"
            lines.append(f"A_b-C,{second * 1000},3,dog,{thing},{presence},{box}\n")
            if second != 4:
                picture(root / "yt_bb_detection_train" / "3" / f"A_b-C_{second * 1000}_3_{thing}.jpg", (16, 6, 16, 12))
    lines.append("gone,1000,3,dog,0,present,0.1,0.2,0.1,0.2\n")
    with gzip.open(root / "yt_bb_detection_train.csv.gz", "wt", encoding="utf-8") as file:
        file.writelines(lines)
    return root


def otb(root: Path) -> Path:
    """Commas, tabs and blanks; David's range, Jogging's two targets, Human4's empty first file; a lower-case folder."""
    for i in range(1, 4):
        picture(root / "Basketball" / "img" / f"{i:04d}.jpg", moving(3)[i - 1])
        picture(root / "Jogging" / "img" / f"{i:04d}.jpg", moving(3)[i - 1])
        picture(root / "Human4" / "img" / f"{i:04d}.jpg", moving(3)[i - 1])
        picture(root / "boy" / "img" / f"{i:04d}.png", moving(3)[i - 1])
    text(root / "Basketball" / "groundtruth_rect.txt", rows(moving(3), "\t"))
    text(root / "Basketball" / "img" / "Thumbs.db", "")
    text(root / "Jogging" / "groundtruth_rect.1.txt", rows(moving(3), ","))
    text(root / "Jogging" / "groundtruth_rect.2.txt", rows([(40, 8, 9, 9)] * 3, " "))
    text(root / "Human4" / "groundtruth_rect.1.txt", "\n")
    text(root / "Human4" / "groundtruth_rect.2.txt", rows(moving(3), ","))
    text(root / "boy" / "groundtruth_rect.txt", rows(moving(3), " "))
    (root / "__MACOSX").mkdir()
    for i in (299, 300, 301, 770, 771):
        picture(root / "David" / "img" / f"{i:04d}.jpg", (10, 12, 20, 16))
    text(root / "David" / "groundtruth_rect.txt", rows(moving(3)))
    return root


def uav123(root: Path) -> Path:
    """person8_2 is frames 1075 to 1525 of person8; the target is out of view in its second frame."""
    small = cv2.imencode(".jpg", np.full((HEIGHT, WIDTH, 3), 90, np.uint8))[1].tobytes()
    folder = root / "data_seq" / "UAV123" / "person8"
    folder.mkdir(parents=True)
    for i in range(1070, 1526):
        (folder / f"{i:06d}.jpg").write_bytes(small)
    boxes = "10,12,20,16\nNaN,NaN,NaN,NaN\n" + "11,12,20,16\n" * 449
    text(root / "anno" / "UAV123" / "person8_2.txt", boxes)
    text(root / "anno" / "UAV20L" / "bike1.txt", "1,1,2,2\n")
    return root


def vot(root: Path) -> Path:
    """VOT2018 by its names: polygons with frames in color/, boxes with frames beside the truth, tags that end early."""
    polygon = (12, 10, 30, 14, 28, 26, 10, 22)
    for i in (1, 2, 3):
        picture(root / "ants3" / "color" / f"{i:08d}.jpg", (10, 10, 20, 16))
        picture(root / "conduction1" / f"{i:08d}.jpg", (10, 10, 20, 16))
    text(root / "ants3" / "groundtruth.txt", rows([polygon] * 3))
    text(root / "ants3" / "occlusion.tag", "0\n1\n")
    text(root / "ants3" / "camera_motion.label", "1\n1\n1\n1\n")
    text(root / "conduction1" / "groundtruth.txt", rows([(10, 10, 20, 16)] * 3))
    text(root / "list.txt", "ants3\nconduction1\n")
    return root


def davis(root: Path) -> Path:
    """Two objects in palette masks with void (255): the second comes in frame 1; and the masks of 2016, 0 and 255."""
    palette = [channel for value in range(256) for channel in (value, 255 - value, value // 2)]
    for i in range(3):
        picture(root / "JPEGImages/480p/bear" / f"{i:05d}.jpg", (10, 12, 20, 16))
        mask = np.zeros((HEIGHT, WIDTH), np.uint8)
        mask[12:28, 10:30] = 1
        mask[0, :] = 255
        if i:
            mask[30:35, 40:41] = 2
        image = Image.fromarray(mask, "P") if i < 2 else Image.fromarray(np.stack([mask] * 3, axis=2))
        image.putpalette(palette) if i < 2 else None
        path = root / "Annotations/480p/bear" / f"{i:05d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        image.save(path)
        single = root / "Annotations/480p_2016/bear" / f"{i:05d}.png"
        single.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.where(mask == 1, 255, 0).astype(np.uint8)).save(single)
    text(root / "ImageSets/2017/train.txt", "bear\n")
    text(root / "ImageSets/2016/train.txt", "bear\n")
    return root


TREES: dict[str, Callable[[Path], Path]] = {
    "got10k": got10k,
    "trackingnet": trackingnet,
    "lasot": lasot,
    "ilsvrc_vid": ilsvrc_vid,
    "ilsvrc_det": ilsvrc_det,
    "coco": coco,
    "youtube_bb": youtube_bb,
    "uav123": uav123,
    "vot": vot,
    "otb": otb,
    "davis": davis,
}
"""By the names of their layouts."""
