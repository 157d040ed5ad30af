"""Zhengxue Cheng, Heming Sun, Masaru Takeuchi, Jiro Katto: "Deep Residual Learning for Image Compression".

CVPR Workshop and Challenge on Learned Image Compression (CLIC), 2019.
"""
