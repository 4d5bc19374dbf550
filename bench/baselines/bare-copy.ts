// Baseline: one COPY of the rows that the postgres-sink wrote into the same table, from memory, over one connection.
import { once } from 'node:events';
import { PassThrough, type Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { from as copyFrom } from 'pg-copy-streams';
import { copyOut } from '#platform/postgres/copy-out.ts';
import type { BenchStack } from '../support/bench-stack.ts';
import { resetGroups } from '../support/group-run.ts';
import { cpuMsOfTree } from '../support/process-usage.ts';

export type CopiedRows = { readonly chunks: readonly Buffer[]; readonly count: number };

/** What is in exp.events now, as COPY text in the order in which it lies there. */
export async function readEventRows({ pool }: BenchStack): Promise<CopiedRows> {
  const client = await pool.connect();
  try {
    const stream = copyOut(client, 'COPY (SELECT * FROM exp.events) TO STDOUT');
    const chunks: Buffer[] = [];
    for await (const chunk of stream as Readable) chunks.push(chunk as Buffer);
    return { chunks, count: stream.rowCount };
  } finally {
    client.release();
  }
}

/** Empties exp.events and copies the rows into it; partitions are there already. */
export async function copyEventRows(
  bench: BenchStack,
  rows: CopiedRows,
): Promise<{ perSecond: number; cpuUs: { postgres: number } }> {
  await resetGroups(bench, ['postgres-sink']);
  const client = await bench.pool.connect();
  try {
    const cpuBefore = cpuMsOfTree(bench.componentPid('postgres'));
    const startedAt = performance.now();
    const source = new PassThrough();
    const copied = pipeline(source, client.query(copyFrom('COPY exp.events FROM STDIN')));
    for (const chunk of rows.chunks) if (!source.write(chunk)) await once(source, 'drain');
    source.end();
    await copied;
    const seconds = (performance.now() - startedAt) / 1_000;
    const cpuMs = cpuMsOfTree(bench.componentPid('postgres')) - cpuBefore;
    return { perSecond: rows.count / seconds, cpuUs: { postgres: (cpuMs * 1_000) / rows.count } };
  } finally {
    client.release();
  }
}
