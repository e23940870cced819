"""Shenqiao's tool server: the model server, private knowledge and the WeChat channel, one package for all processes."""
