// A rate limiter and two lock libraries. Prints who was let through, and who held the lock.
//
// usage: node limits.js PORT
import { Redis } from 'ioredis';
import { BurstyRateLimiter, RateLimiterRedis, RateLimiterRes } from 'rate-limiter-flexible';
import Redlock from 'redlock';

const redis = new Redis({ host: '127.0.0.1', port: Number(process.argv[2]) });

/** What a limiter said, without times. */
async function consume(limiter, key, points) {
  try {
    const { remainingPoints, consumedPoints, isFirstInDuration } = await limiter.consume(key, points);
    return { remainingPoints, consumedPoints, isFirstInDuration };
  } catch (refused) {
    if (!(refused instanceof RateLimiterRes)) throw refused;
    const { remainingPoints, consumedPoints, msBeforeNext } = refused;
    return { refused: true, remainingPoints, consumedPoints, waits: msBeforeNext > 0 };
  }
}

async function rates() {
  const limiter = new RateLimiterRedis({
    storeClient: redis,
    keyPrefix: 'rate',
    points: 5,
    duration: 100,
    blockDuration: 200,
  });
  const burst = new BurstyRateLimiter(
    limiter,
    new RateLimiterRedis({ storeClient: redis, keyPrefix: 'burst', points: 3, duration: 100 }),
  );
  const said = [];
  for (let n = 0; n < 7; n += 1) said.push(await consume(limiter, 'user', 1));
  said.push(await consume(limiter, 'other', 3));
  await limiter.penalty('other', 1);
  await limiter.reward('other', 2);
  said.push((await limiter.get('other')).consumedPoints);
  const many = await Promise.all(Array.from({ length: 20 }, () => consume(limiter, 'many', 1)));
  const through = many.filter((one) => !one.refused).length;
  const bursts = [];
  for (let n = 0; n < 9; n += 1) bursts.push(Boolean((await consume(burst, 'b', 1)).refused));
  await limiter.delete('user');
  said.push(await consume(limiter, 'user', 2));
  return { said, through, bursts };
}

async function locks() {
  const lock = new Redlock([redis], { retryCount: 0 });
  const first = await lock.lock('lock:a', 10000);
  const refused = await lock.lock('lock:a', 10000).then(
    () => false,
    (error) => error.name,
  );
  const extended = await first.extend(20000);
  const left = await redis.pttl('lock:a');
  await extended.unlock();
  const again = await lock.lock(['lock:a', 'lock:b'], 10000);
  const both = await redis.exists('lock:a', 'lock:b');
  await again.unlock();
  const late = await again.unlock().then(
    () => false,
    (error) => error.name,
  );
  return { refused, long: left > 10000, both, late, gone: await redis.exists('lock:a', 'lock:b') };
}

async function commands() {
  redis.defineCommand('pick', {
    numberOfKeys: 2,
    lua: `local n = redis.call('LLEN', KEYS[1])
          local moved = {}
          for i = 1, math.min(n, tonumber(ARGV[1])) do
            local v = redis.call('RPOPLPUSH', KEYS[1], KEYS[2])
            moved[#moved + 1] = cjson.encode({ i, v })
          end
          return moved`,
  });
  await redis.rpush('from', 'a', 'b', 'c', 'd');
  const picked = await redis.pick('from', 'to', 3);
  const piped = await redis.pipeline().pick('from', 'to', 5).llen('to').exec();
  return { picked, piped };
}

console.log(JSON.stringify({ rates: await rates(), locks: await locks(), commands: await commands() }));
redis.disconnect();
