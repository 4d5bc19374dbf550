// The workloads' port over HTTP: the assignment service and the ingestion service.

import {
  type BusyRetryConfig,
  type BusyRetryDeps,
  type HttpAnswer,
  postUntilAnswered,
  systemRetryDeps,
} from './busy-retry.ts';
import type { AssignedVariant, EventBody, SendOutcome, WorkloadPort } from './workload-port.ts';

export type HttpWorkloadPortConfig = {
  /** Base addresses, without a path. */
  readonly assignmentUrl: string;
  readonly ingestionUrl: string;
  /** Key with the scopes assign and ingest. */
  readonly apiKey: string;
  /** Key with the scope admin; only imports need it. */
  readonly adminKey?: string;
  readonly retry?: BusyRetryConfig;
};

/** The service refused a request as a whole; repeating it would not help. */
export class WorkloadRequestError extends Error {
  readonly status: number;
  constructor(what: string, answer: HttpAnswer) {
    super(`${what} was refused with status ${answer.status}: ${JSON.stringify(answer.body).slice(0, 500)}`);
    this.name = 'WorkloadRequestError';
    this.status = answer.status;
  }
}

type JsonObject = { readonly [key: string]: unknown };

export function createHttpWorkloadPort(
  config: HttpWorkloadPortConfig,
  deps: BusyRetryDeps = systemRetryDeps,
): WorkloadPort {
  const post = (base: string, path: string, apiKey: string, body: unknown) =>
    postUntilAnswered({ url: new URL(path, base).href, apiKey, body }, deps, config.retry);

  const send = async (events: readonly EventBody[]): Promise<SendOutcome[]> => {
    if (events.length === 0) return [];
    const answer = await post(config.ingestionUrl, '/v1/events', config.apiKey, events);
    if (answer.status === 413 && events.length > 1) {
      const half = Math.ceil(events.length / 2);
      return [...(await send(events.slice(0, half))), ...(await send(events.slice(half)))];
    }
    return toOutcomes(events, answer);
  };

  return {
    send,
    assign: async (unit, { experiments, context }) => {
      const body = { ...unit, context, requested_experiments: experiments };
      const answer = await post(config.assignmentUrl, '/v1/assignments', config.apiKey, body);
      if (answer.status !== 200) throw new WorkloadRequestError('POST /v1/assignments', answer);
      return listIn(answer.body, 'assignments').flatMap((assignment) => toAssignedVariant(assignment) ?? []);
    },
    importAssignments: async (assignments) => {
      if (config.adminKey === undefined) throw new Error('importing assignments needs a key with the scope admin');
      const answer = await post(config.assignmentUrl, '/v1/assignments/import', config.adminKey, { assignments });
      if (answer.status < 200 || answer.status > 299) {
        throw new WorkloadRequestError('POST /v1/assignments/import', answer);
      }
      const imported = (answer.body as JsonObject | null)?.imported;
      if (typeof imported !== 'number') throw new WorkloadRequestError('POST /v1/assignments/import', answer);
      return { imported, alreadyThere: assignments.length - imported };
    },
  };
}

/** 202 accepts all; 207 and 400 say so event by event, by `index`; anything else refuses the request. */
function toOutcomes(events: readonly EventBody[], answer: HttpAnswer): SendOutcome[] {
  const results = new Map(listIn(answer.body, 'results').map((result) => [result.index, result]));
  const isPerEvent = answer.status === 207 || (answer.status === 400 && results.size === events.length);
  if (answer.status !== 202 && !isPerEvent) throw new WorkloadRequestError('POST /v1/events', answer);
  return events.map(({ event_id }, index): SendOutcome => {
    const result = results.get(index);
    if (answer.status === 202 || result?.status === 'accepted') return { event_id, status: 'accepted' };
    const [code, message] = [result?.code, result?.message].map((part) => String(part ?? 'unknown'));
    return { event_id, status: 'rejected', code: code ?? '', message: message ?? '' };
  });
}

/** The variant by assignment, also where serving delivers another one: results are analyzed by assignment. */
function toAssignedVariant(assignment: JsonObject): AssignedVariant | null {
  const { experiment_id, variant_name } = assignment;
  const variant_id = assignment.assigned_variant_id ?? assignment.variant_id;
  if (typeof experiment_id !== 'string' || typeof variant_id !== 'string' || typeof variant_name !== 'string') {
    return null;
  }
  return { experiment_id, variant_id, variant_name };
}

function listIn(body: unknown, name: string): JsonObject[] {
  const list = (body as JsonObject | null)?.[name];
  return Array.isArray(list) ? list : [];
}
