"""The annotation layouts that `ingest` reads, each in a module of its own. Adding one: a module with a `Layout`, and a line here."""

from layouts.coco import Coco
from layouts.csv_boxes import CsvBoxes
from layouts.cvat import Cvat
from layouts.labelme import LabelMe
from layouts.oidv4 import OidV4
from layouts.open_images import OpenImages
from layouts.oxford_pets import OxfordPets
from layouts.tfrecord import TfRecord
from layouts.voc import Voc
from layouts.yolo import Yolo

# In the order of asking: a layout that is told by a file of its own comes before one that is told by extensions alone.
LAYOUTS = (TfRecord(), OpenImages(), OxfordPets(), OidV4(), Coco(), Cvat(), LabelMe(), Voc(), Yolo(), CsvBoxes())
BY_NAME = {layout.name: layout for layout in LAYOUTS}
