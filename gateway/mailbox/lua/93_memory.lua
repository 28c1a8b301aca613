-- memory: how full the server of this bucket is
-- KEYS[1] prefix   answers {run id, bytes used, maxmemory (0: no limit), what happens beyond it (maxmemory-policy)}
register('memory', function()
  local found = redis.call('INFO', 'memory')
  return { string.match(redis.call('INFO', 'server'), 'run_id:(%x+)'), tonumber(string.match(found, 'used_memory:(%d+)')),
    tonumber(string.match(found, 'maxmemory:(%d+)')), string.match(found, 'maxmemory_policy:([%w%-]+)') }
end)
