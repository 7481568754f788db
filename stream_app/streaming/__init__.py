"""Use of Faust and aiokafka: consumption, state, publishing, topics, and what ends a worker."""
