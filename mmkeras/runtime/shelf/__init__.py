"""An index of pictures or texts by their vectors, which is searched on the device. numpy only."""
