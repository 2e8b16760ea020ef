"""What runs inside Valkey: leases of one limit to several hosts, in one step each.

For each window of each owner there is a hash: ``g:HOST`` what a host may use in all, ``s:HOST``
what it has spent, ``w:HOST`` since when it lacks more. The sum of the ``g`` is never made to exceed
the limit. Amounts are whole numbers as decimal text, of any size: a Lua number is exact up to 2^53
only, so they are calculated with in two parts.
"""

from __future__ import annotations

from typing import Final

FORGET_MS: Final = 40 * 86_400_000
"""A host that was not seen for longer than any window is none."""

_COMMON: Final = """
local function read(text)
  local size = #text
  if size <= 12 then return {0, tonumber(text)} end
  return {tonumber(text:sub(1, size - 12)), tonumber(text:sub(size - 11))}
end
local function text(n)
  if n[1] == 0 then return string.format('%.0f', n[2]) end
  return string.format('%.0f%012.0f', n[1], n[2])
end
local function less(a, b)
  if a[1] ~= b[1] then return a[1] < b[1] end
  return a[2] < b[2]
end
local function plus(a, b)
  local low = a[2] + b[2]
  if low >= 1e12 then return {a[1] + b[1] + 1, low - 1e12} end
  return {a[1] + b[1], low}
end
local function minus(a, b)
  if less(a, b) then return {0, 0} end
  local low = a[2] - b[2]
  if low < 0 then return {a[1] - b[1] - 1, low + 1e12} end
  return {a[1] - b[1], low}
end
local function smaller(a, b) if less(b, a) then return b end return a end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local function expire(key, at)
  local left = redis.call('PTTL', key)
  if left < 0 or now + left < at then redis.call('PEXPIREAT', key, string.format('%.0f', at)) end
end
local function sums(key, me)
  local granted, spent, lacking = {}, {0, 0}, {}
  local all = redis.call('HGETALL', key)
  for i = 1, #all, 2 do
    local kind, host = all[i]:sub(1, 1), all[i]:sub(3)
    if kind == 'g' then granted[host] = read(all[i + 1])
    elseif kind == 's' and host ~= me then spent = plus(spent, read(all[i + 1]))
    elseif kind == 'w' then lacking[host] = all[i + 1] end
  end
  return granted, spent, lacking
end
"""

HELLO: Final = (
    _COMMON
    + f"""
local epoch = redis.call('GET', KEYS[1])
if not epoch then
  epoch = ARGV[2] .. ':' .. string.format('%.0f', now)
  redis.call('SET', KEYS[1], epoch)
end
redis.call('HSET', KEYS[2], ARGV[1], string.format('%.0f', now))
for i = 4, #ARGV do redis.call('HSETNX', KEYS[2], ARGV[i], '0') end
local met = redis.call('HGETALL', KEYS[2])
for i = 1, #met, 2 do
  local seen = tonumber(met[i + 1])
  if seen > 0 and now - seen > {FORGET_MS} then redis.call('HDEL', KEYS[2], met[i]) end
end
local wants, all = {{}}, redis.call('HGETALL', KEYS[4])
for i = 1, #all, 2 do
  if now - tonumber(all[i + 1]) <= tonumber(ARGV[3]) then wants[#wants + 1] = all[i]
  else redis.call('HDEL', KEYS[4], all[i]) end
end
return {{epoch, redis.call('HEXISTS', KEYS[3], ARGV[1]), redis.call('HKEYS', KEYS[2]), wants}}
"""
)
"""KEYS epoch, hosts, known, wants; ARGV host, a fresh id, how long what is lacking
is believed in ms, hosts that are known of.

Returns the epoch, whether this host has told its leases in it, the hosts, and what is lacking.
"""

PUT: Final = (
    _COMMON
    + """
if redis.call('GET', KEYS[2]) ~= ARGV[1] then return {'epoch', '0'} end
redis.call('HSET', KEYS[1], 'g:' .. ARGV[2], ARGV[3], 's:' .. ARGV[2], ARGV[4])
expire(KEYS[1], tonumber(ARGV[5]))
local _, spent = sums(KEYS[1], ARGV[2])
return {'ok', text(spent)}
"""
)
"""KEYS slot, epoch; ARGV epoch, host, granted, spent, end in ms. Sets what a host has.

Returns what the others have spent.
"""

READY: Final = """
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
redis.call('HSET', KEYS[2], ARGV[2], '1')
return 1
"""
"""KEYS epoch, known; ARGV epoch, host: it has told all its leases."""

LEASE: Final = (
    _COMMON
    + """
local epoch, me, key = redis.call('GET', KEYS[2]), ARGV[2], KEYS[1]
if epoch ~= ARGV[1] then return {'epoch', '0', '0'} end
local required, ask, limit = read(ARGV[3]), read(ARGV[4]), read(ARGV[5])
local at, lost, stale = tonumber(ARGV[7]), tonumber(ARGV[8]), tonumber(ARGV[9])
local granted, spent, lacking = sums(key, me)
redis.call('HSET', key, 's:' .. me, ARGV[6])
local seen, others = {}, {0, 0}
local all = redis.call('HGETALL', KEYS[3])
for i = 1, #all, 2 do seen[all[i]] = tonumber(all[i + 1]) end
for host, amount in pairs(granted) do
  if host ~= me then
    if stale > 0 and seen[host] and seen[host] > 0 and now - seen[host] > stale then
      redis.call('HDEL', key, 'g:' .. host, 's:' .. host, 'w:' .. host)
    else others = plus(others, amount) end
  end
end
local mine = granted[me] or {0, 0}
if not less(mine, required) then
  local kept = smaller(mine, ask)
  redis.call('HSET', key, 'g:' .. me, text(kept))
  redis.call('HDEL', key, 'w:' .. me)
  expire(key, at)
  return {'ok', text(kept), text(spent)}
end
if now - tonumber(epoch:match(':(%d+)$')) < lost then
  for host in pairs(seen) do
    if host ~= me and redis.call('HEXISTS', KEYS[4], host) == 0 then
      return {'settling', text(mine), text(spent)}
    end
  end
end
local first, since = nil, now
for host, said in pairs(lacking) do
  local from, last = said:match('(%d+):(%d+)')
  if now - tonumber(last) > tonumber(ARGV[11]) then redis.call('HDEL', key, 'w:' .. host)
  elseif host == me then since = tonumber(from)
  elseif not first or tonumber(from) < first then first = tonumber(from) end
end
local room = minus(limit, others)
if not less(room, required) and not (first and first < since) then
  local new = smaller(ask, room)
  if first then new = required else redis.call('HDEL', KEYS[5], ARGV[10]) end
  redis.call('HSET', key, 'g:' .. me, text(new))
  redis.call('HDEL', key, 'w:' .. me)
  expire(key, at)
  return {'ok', text(new), text(spent)}
end
redis.call('HSET', key, 'w:' .. me, string.format('%.0f:%.0f', since, now))
redis.call('HSET', KEYS[5], ARGV[10], string.format('%.0f', now))
expire(key, at)
return {'lack', text(mine), text(spent)}
"""
)
"""KEYS slot, epoch, hosts, known, wants; ARGV epoch, host, required, ask, limit, spent, end in ms,
how long lost hosts are waited for in ms, when a silent host's lease of a moving window is over in
ms (0: never), the slot's key, how long what is lacking is believed in ms.

A host gets what it requires whole, or nothing and stands in line: pieces held by several would be
of use to nobody. What it asks beyond that it gets where nobody waits. Returns ``ok``, ``lack``,
``settling`` or ``epoch``, what it has now, and what the others have spent.
"""
