// A job queue: BullMQ on ioredis. Prints what became of the jobs.
//
// usage: node queue.js PORT
import { FlowProducer, Queue, QueueEvents, Worker } from 'bullmq';
import { Redis } from 'ioredis';

const connection = { host: '127.0.0.1', port: Number(process.argv[2]) };
const own = () => new Redis({ ...connection, maxRetriesPerRequest: null });
const made = [];
const open = (thing) => {
  made.push(thing);
  return thing;
};

/** Resolves when `count` jobs of a queue have ended. */
function ended(worker, count) {
  return new Promise((resolve) => {
    let left = count;
    const one = () => {
      left -= 1;
      if (left === 0) resolve();
    };
    worker.on('completed', one);
    worker.on('failed', (job) => {
      if (job.attemptsMade >= (job.opts.attempts ?? 1)) one();
    });
  });
}

async function priorities() {
  const queue = open(new Queue('priorities', { connection: own() }));
  const jobs = [];
  for (let n = 0; n < 60; n += 1) {
    jobs.push({ name: 'job', data: { n }, opts: { priority: 1 + (n % 3), jobId: `p-${n}` } });
  }
  await queue.addBulk(jobs);
  const waiting = await queue.getJobCounts('prioritized', 'wait');
  const order = [];
  const worker = new Worker(
    'priorities',
    async (job) => {
      order.push(job.data.n);
      return job.data.n * 2;
    },
    { connection: own(), autorun: false },
  );
  open(worker);
  const all = ended(worker, jobs.length);
  worker.run();
  await all;
  const results = [];
  for (const n of [0, 17, 59]) results.push((await queue.getJob(`p-${n}`)).returnvalue);
  return { waiting, order, results, counts: await queue.getJobCounts() };
}

async function retries() {
  const queue = open(new Queue('retries', { connection: own() }));
  const events = open(new QueueEvents('retries', { connection: own() }));
  await events.waitUntilReady();
  const seen = { completed: 0, failed: 0 };
  events.on('completed', () => (seen.completed += 1));
  events.on('failed', () => (seen.failed += 1));
  const worker = open(
    new Worker(
      'retries',
      async (job) => {
        if (job.attemptsMade < job.data.fails) throw new Error(`attempt ${job.attemptsMade}`);
        await job.updateProgress(100);
        return 'done';
      },
      { connection: own(), concurrency: 4 },
    ),
  );
  const all = ended(worker, 12);
  for (let n = 0; n < 12; n += 1) {
    await queue.add('job', { fails: n % 4 }, { attempts: 3, backoff: 5, jobId: `r-${n}` });
  }
  await all;
  const failed = await queue.getFailed();
  const reasons = failed.map((job) => [job.id, job.failedReason, job.attemptsMade]);
  await new Promise((resolve) => {
    const look = () =>
      seen.completed + seen.failed === 12 ? resolve() : setTimeout(look, 10);
    look();
  });
  const cleaned = await queue.clean(0, 100, 'failed');
  return {
    reasons: reasons.sort(),
    seen,
    cleaned: cleaned.sort(),
    counts: await queue.getJobCounts(),
  };
}

async function delaysAndFlows() {
  const flow = open(new FlowProducer({ connection: own() }));
  const queue = open(new Queue('flows', { connection: own() }));
  const worker = open(
    new Worker(
      'flows',
      async (job) => {
        const children = Object.values(await job.getChildrenValues());
        return children.reduce((sum, value) => sum + value, job.data.value);
      },
      { connection: own() },
    ),
  );
  const all = ended(worker, 7);
  const child = (value) => ({ name: 'child', queueName: 'flows', data: { value } });
  const tree = await flow.add({
    name: 'parent',
    queueName: 'flows',
    data: { value: 1 },
    children: [1, 2, 3, 4, 5].map((n) => child(n * 10)),
  });
  await queue.add('later', { value: 7 }, { delay: 40, jobId: 'later' });
  await all;
  const parent = await queue.getJob(tree.job.id);
  const later = await queue.getJob('later');
  const afterDelay = later.processedOn - later.timestamp >= 40;
  return { parent: parent.returnvalue, later: later.returnvalue, afterDelay };
}

async function repeated() {
  const queue = open(new Queue('repeated', { connection: own() }));
  await queue.upsertJobScheduler('every', { every: 25, limit: 3 }, { name: 'tick', data: {} });
  let ticks = 0;
  const worker = open(
    new Worker('repeated', async () => (ticks += 1), { connection: own() }),
  );
  await ended(worker, 3);
  await queue.pause();
  const paused = await queue.isPaused();
  await queue.add('never', {});
  const counts = await queue.getJobCounts('wait', 'paused');
  await queue.obliterate({ force: true });
  return { ticks, paused, counts, left: await queue.getJobCounts() };
}

const outcome = {
  priorities: await priorities(),
  retries: await retries(),
  flows: await delaysAndFlows(),
  repeated: await repeated(),
};
console.log(JSON.stringify(outcome));
await Promise.all(made.map((thing) => thing.close()));
process.exit(0);
