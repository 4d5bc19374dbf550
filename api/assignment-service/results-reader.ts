// Reads results without getting in the way of assignments: a connection of its own, one at a time, the same question once.
import { type ResultsOptions, readResults as readResultsOf } from '#analytics/results/read-results.ts';
import type { ExperimentResults } from '#domain/results/results.ts';
import type { Pool } from '#platform/postgres/pool.ts';

export type ResultsAnswer =
  | { readonly status: 'read'; readonly results: ExperimentResults | null }
  /** So many results wait to be computed that this one would wait too long. */
  | { readonly status: 'busy' };

export type ResultsReader = (keyOrId: string, options: Required<ResultsOptions>) => Promise<ResultsAnswer>;

/** Different questions under way or waiting; a large experiment takes seconds. */
const mostQuestions = 8;

/** Callers that ask the same while it is computed or waits share the answer. */
export function createResultsReader(options: { pool: Pool; read?: typeof readResultsOf }): ResultsReader {
  const read = options.read ?? readResultsOf;
  const underWay = new Map<string, Promise<ExperimentResults | null>>();
  let last: Promise<unknown> = Promise.resolve();
  return async (keyOrId, wanted) => {
    const question = JSON.stringify([keyOrId, wanted.history, wanted.segments]);
    let answer = underWay.get(question);
    if (answer === undefined) {
      if (underWay.size >= mostQuestions) return { status: 'busy' };
      answer = last.then(() => read(options.pool, keyOrId, wanted)).finally(() => underWay.delete(question));
      last = answer.catch(() => undefined);
      underWay.set(question, answer);
    }
    return { status: 'read', results: await answer };
  };
}
