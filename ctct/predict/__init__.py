"""What ``ctct predict`` does to a folder of scans."""
