// Changes of the code that break one promise each: the suite must notice every one.
import type { CodeChange } from '#tests/support/code-copy.ts';

export const codeChanges = {
  noFence: {
    name: 'no fence: a position moves whoever moves it',
    file: 'platform/kafka/postgres-offsets.ts',
    text: 'AND next_offset = $4 AND revision = $6',
    replacement: 'AND $4::bigint IS NOT NULL AND revision = $6',
  },
  offsetBeforeEffects: {
    name: 'offset before effects: the position is durable before what it stands for',
    file: 'platform/kafka/flusher.ts',
    text: 'await deps.offsets.advance(tx, batch.partition, batch.firstOffset, batch.nextOffset);',
    replacement: `await deps.offsets.advance(tx, batch.partition, batch.firstOffset, batch.nextOffset);
      await tx.query('COMMIT');
      await tx.query('BEGIN');`,
  },
  noClaims: {
    name: 'no claims: every event of a batch is counted, whoever has counted it before',
    file: 'consumers/metrics-aggregator/sink.ts',
    text: 'const lost = await claimOrForgetDays(tx, firsts);',
    replacement: 'const lost = new Set<string>();',
  },
  lettersAfterCommit: {
    name: 'dead letters after the commit',
    file: 'platform/kafka/flusher.ts',
    text: `        await deps.publishDeadLetters(toPublish);
        toPublish = [];
        const result = await writeOnce(batch);`,
    replacement: `        const result = await writeOnce(batch);
        await deps.publishDeadLetters(toPublish);
        toPublish = [];`,
  },
} as const satisfies Record<string, CodeChange>;
