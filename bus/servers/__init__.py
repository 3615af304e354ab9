"""The servers: addresses, connections, clusters, sentinels, and the scripts that run on them."""
