"""The Object Detection API's pipeline.config, of both its versions: reading, printing, overriding. Python 3.7 and newer."""
