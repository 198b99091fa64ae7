"""Instance masks, from what annotations hold to COCO's run-length encoding.

A reader gives an object's mask as one of
{"polygons": [[x, y, x, y, …], …], "unit": PIXELS or FRACTION}: the mask is their union;
{"rle": {"size": [height, width], "counts": COCO's compressed text, or its list of run lengths}};
{"picture": path of an image file, "values": None or [grey value or palette index]}: pixels of these values (None: not 0) are the object's;
a picture of another size than the image is scaled to it.
"""
