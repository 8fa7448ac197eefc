"""From a study to its label map, on whichever runtime there is. No torch unless asked for."""
