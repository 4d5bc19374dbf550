// Asks the inference process for a plan, with a deadline, and leaves it alone for a moment when it keeps failing.
import { type Static, Type } from '@sinclair/typebox';
import { Value } from '@sinclair/typebox/value';
import type { FallbackReason } from './fallback-reason.ts';
import { describeMismatch, readRefusal } from './neighbor-answer.ts';

const count = Type.Integer({ minimum: 0 });
/** The fields of an answer that are used here. */
const InferenceAnswerShape = Type.Object({
  slots: Type.Array(Type.Object({ slot_id: Type.String(), probabilities: Type.Array(Type.Number()) })),
  plan: Type.Array(Type.Object({ slot_id: Type.String(), recipe_id: Type.String() })),
  tokens_in: count,
  tokens_out: count,
});

export type InferenceAnswer = Static<typeof InferenceAnswerShape>;

export type InferenceResult =
  | { readonly ok: true; readonly answer: InferenceAnswer }
  | { readonly ok: false; readonly reason: FallbackReason; readonly detail: string };

export type InferenceRequest = {
  readonly model: string;
  /** Canonical JSON of the model input. */
  readonly inputText: string;
  readonly deadlineMs: number;
  readonly batchWaitMs?: number | undefined;
  /** Goes only when nobody else waits. */
  readonly isShadow?: boolean;
};

export type InferenceClient = {
  /** Never throws. */
  plan(request: InferenceRequest): Promise<InferenceResult>;
  /** Has a version loaded before it is asked for, and says whether it is. Never throws. */
  load(model: string): Promise<boolean>;
};

/** So many failures in a row open the circuit of a model version: waiting for each deadline would only make every plan slow. */
const failuresToOpen = 5;
/** After so long one request tries again. */
const openMs = 2_000;
const loadTimeoutMs = 60_000;

/** Circuits: closed; open after failures in a row; half open when `openMs` have passed, until the request that tries has its answer. */
export function createInferenceClient(options: {
  url: string | undefined;
  nowMs: () => number;
  /** Ends the wait for every answer: the process stops. */
  givenUp?: AbortSignal;
  fetch?: typeof globalThis.fetch;
}): InferenceClient {
  const { url, nowMs, givenUp } = options;
  const send = options.fetch ?? globalThis.fetch;
  const circuits = new Map<string, { failures: number; retryAtMs: number }>();

  const settle = (model: string, failed: boolean): void => {
    if (!failed) {
      circuits.delete(model);
      return;
    }
    const failures = (circuits.get(model)?.failures ?? 0) + 1;
    circuits.set(model, { failures, retryAtMs: nowMs() + openMs });
  };
  const isOpen = (model: string): boolean => {
    const circuit = circuits.get(model);
    if (circuit === undefined || circuit.failures < failuresToOpen) return false;
    if (nowMs() < circuit.retryAtMs) return true;
    // The one that tries: others wait for its outcome.
    circuits.set(model, { ...circuit, retryAtMs: nowMs() + openMs });
    return false;
  };
  const post = (path: string, body: string, timeoutMs: number): Promise<Response> =>
    send(new URL(path, url).href, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body,
      signal: AbortSignal.any([AbortSignal.timeout(timeoutMs), ...(givenUp === undefined ? [] : [givenUp])]),
    });

  return {
    plan: async ({ model, inputText, deadlineMs, batchWaitMs, isShadow }) => {
      if (url === undefined) return { ok: false, reason: 'no-inference', detail: 'INFERENCE_URL is not set' };
      if (isOpen(model)) return { ok: false, reason: 'circuit-open', detail: `${model} failed several times in a row` };
      const wait = batchWaitMs === undefined ? '' : `,"batch_wait_ms":${batchWaitMs}`;
      const shadow = isShadow === true ? ',"shadow":true' : '';
      const body = `{"model":${JSON.stringify(model)},"deadline_ms":${deadlineMs}${wait}${shadow},"input":${inputText}}`;
      try {
        const response = await post('/v1/plans', body, deadlineMs);
        const result = toResult(response.status, await response.json());
        settle(model, !result.ok && (result.reason === 'timeout' || result.reason === 'unavailable'));
        return result;
      } catch (error) {
        settle(model, true);
        const isLate = error instanceof Error && error.name === 'TimeoutError';
        const detail = isLate ? `no answer within ${deadlineMs} ms` : describe(error);
        return { ok: false, reason: isLate ? 'timeout' : 'unavailable', detail };
      }
    },
    load: async (model) => {
      if (url === undefined) return false;
      const response = await post('/v1/models', JSON.stringify({ model }), loadTimeoutMs).catch(() => null);
      await response?.body?.cancel().catch(() => undefined);
      return response?.ok === true;
    },
  };
}

function toResult(status: number, body: unknown): InferenceResult {
  if (status === 200) {
    if (Value.Check(InferenceAnswerShape, body)) return { ok: true, answer: body };
    return { ok: false, reason: 'invalid-answer', detail: describeMismatch(InferenceAnswerShape, body) };
  }
  const refusal = readRefusal(body);
  return { ok: false, reason: toReason(status, refusal?.code), detail: refusal?.message ?? `status ${status}` };
}

function toReason(status: number, code: string | undefined): FallbackReason {
  if (status === 404) return 'unknown-model';
  if (status === 400) return 'invalid-answer';
  if (status === 504) return 'timeout';
  // Others may be answered: it is no failure of the process.
  return code === 'queue-full' || code === 'out-of-memory' ? 'busy' : 'unavailable';
}

function describe(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return error.cause instanceof Error ? `${error.message}: ${error.cause.message}` : error.message;
}
