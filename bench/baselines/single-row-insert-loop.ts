// Baseline process where there is no pgbench: one connection per client, each repeating the same prepared insert; prints one JSON line.
import { createHistogram } from 'node:perf_hooks';
import pg from 'pg';
import { type InsertOptions, insertSql } from './single-row-insert.ts';

const { databaseUrl, clients, seconds } = JSON.parse(process.argv[2] ?? '') as InsertOptions;
const histogram = createHistogram();
const connections = await Promise.all(
  Array.from({ length: clients }, async () => {
    const client = new pg.Client({ connectionString: databaseUrl });
    await client.connect();
    return client;
  }),
);
const until = performance.now() + seconds * 1_000;
let inserted = 0;
await Promise.all(
  connections.map(async (client) => {
    for (let sentAt = performance.now(); sentAt < until; sentAt = performance.now()) {
      await client.query({ name: 'insert', text: insertSql });
      inserted += 1;
      histogram.record(Math.max(1, Math.round((performance.now() - sentAt) * 1_000)));
    }
  }),
);
await Promise.all(connections.map((client) => client.end()));
process.stdout.write(`${JSON.stringify({ perSecond: inserted / seconds, p99Ms: histogram.percentile(99) / 1_000 })}\n`);
