// The port of the promotion routes to stored promotions: the same steps as on the command line, in force on this instance when answered.
import type { LiveDefinitions } from '#producers/definition-store/live-definitions.ts';
import type { ChangeAuthor } from '#producers/definition-store/save-experiment.ts';
import { type EndedPromotion, finishPromotion, rollBackPromotion } from '#producers/promotion-store/end-promotion.ts';
import {
  approvePromotion,
  type Look,
  type LookDeps,
  lookAtPromotion,
  previewLook,
} from '#producers/promotion-store/look-at-promotion.ts';
import { type LedgerRow, listLedger } from '#producers/promotion-store/promotion-ledger.ts';
import { PromotionRefusal } from '#producers/promotion-store/promotion-refusal.ts';
import { getPromotion, listPromotionIds } from '#producers/promotion-store/promotion-state.ts';
import {
  type StartedPromotion,
  type StartRequest,
  startPromotion,
} from '#producers/promotion-store/start-promotion.ts';
import { createProblemsError, RequestError } from './request-error.ts';

export type PromotionAccess = {
  start(request: StartRequest, author: ChangeAuthor): Promise<StartedPromotion>;
  check(keyOrId: string, actor: string): Promise<Look>;
  approve(keyOrId: string, author: ChangeAuthor): Promise<Look>;
  finish(keyOrId: string, author: ChangeAuthor, force: string | undefined): Promise<EndedPromotion>;
  rollBack(keyOrId: string, author: ChangeAuthor): Promise<EndedPromotion>;
  /** What the next look would decide; the latest promotion first. */
  list(): Promise<Look[]>;
  show(keyOrId: string): Promise<{ look: Look; ledger: LedgerRow[] }>;
};

const statusOf = { invalid: 400, unknown: 404, refused: 409, unchecked: 503 } as const;
const codeOf = {
  invalid: 'invalid-request',
  unknown: 'unknown-promotion',
  refused: 'refused',
  unchecked: 'unavailable',
} as const;

/** Refusals become answers; everything else stays what it is. */
async function answering<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (!(error instanceof PromotionRefusal)) throw error;
    const { field, message } = error;
    // What the body names and does not exist is a mistake in the body.
    const kind = error.kind === 'unknown' && field !== 'experiment' ? 'invalid' : error.kind;
    if (kind === 'invalid') throw createProblemsError(400, 'invalid-request', [{ field, message }]);
    throw new RequestError(statusOf[kind], { code: codeOf[kind], message, field });
  }
}

export function createPromotionAccess(
  deps: LookDeps & {
    live: Pick<LiveDefinitions, 'refresh'>;
    /** There are new rows in the outbox of definitions. */
    onChanged: () => void;
  },
): PromotionAccess {
  const { pool } = deps;
  const change = async <T>(work: () => Promise<T>): Promise<T> => {
    const result = await answering(work);
    deps.onChanged();
    await deps.live.refresh();
    return result;
  };
  const idOf = async (keyOrId: string): Promise<string> => (await getPromotion(pool, keyOrId)).experiment.experimentId;
  return {
    start: (request, author) => change(() => startPromotion(deps, request, author)),
    check: (keyOrId, actor) => change(async () => lookAtPromotion(deps, await idOf(keyOrId), actor)),
    approve: (keyOrId, author) =>
      answering(async () => {
        const { experiment } = await approvePromotion(deps, keyOrId, author);
        return previewLook(deps, experiment.experimentId);
      }),
    finish: (keyOrId, author, force) => change(() => finishPromotion(deps, keyOrId, { author, force })),
    rollBack: (keyOrId, author) => change(() => rollBackPromotion(deps, keyOrId, author)),
    list: async () => {
      const looks: Look[] = [];
      for (const id of (await listPromotionIds(pool, null)).reverse()) looks.push(await previewLook(deps, id));
      return looks;
    },
    show: (keyOrId) =>
      answering(async () => {
        const id = await idOf(keyOrId);
        return { look: await previewLook(deps, id), ledger: await listLedger(pool, { keyOrId: id }) };
      }),
  };
}
