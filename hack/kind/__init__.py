"""The product on kind: the image, the chart, a real kubelet and pods of a simulated engine."""
