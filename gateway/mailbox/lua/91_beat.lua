-- Signs of life of nodes, which go on when Redis is full: else every node would be taken for dead, and it would stay full.
-- Keys: nodes hash, members hash, dead nodes set; all of them for all buckets together

-- beat: this node lives   KEYS[1] nodes   ARGV node   answers its number of heartbeats
register('beat', function(keys, args) return redis.call('HINCRBY', keys[1], args[1], 1) end)

-- introduce: what this node says of itself   KEYS[1] members   ARGV node, text   answers 1 if it had said nothing
register('introduce', function(keys, args) return redis.call('HSET', keys[1], args[1], args[2]) end)

-- mark_dead: somebody saw this node die   KEYS[1] dead nodes   ARGV node
register('mark_dead', function(keys, args) return redis.call('SADD', keys[1], args[1]) end)
