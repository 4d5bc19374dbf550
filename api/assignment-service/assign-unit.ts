// Answers which variants a unit gets: the stored row wins, else the definition decides and the first writer's row is the answer.
import { type Evaluation, evaluate } from '#domain/experiment/evaluate.ts';
import type { Variant } from '#domain/experiment/experiment.ts';
import { asUnitId, asUnitType } from '#domain/experiment/ids.ts';
import type { DefinitionIndex, LiveExperiment } from '#producers/definition-store/live-definitions.ts';
import type { AssignmentCache } from './assignment-cache.ts';
import type { AssignmentCandidate, AssignmentKey, StoredRow, StoreResult } from './assignment-store.ts';
import { findTakenByLayerMates } from './layer-mates.ts';
import { RequestError } from './request-error.ts';
import type { AssignmentAnswer, AssignmentRequest, AssignmentResponse } from './wire-schemas.ts';

/** Stored rows as this service reads and writes them: combined with those of other requests. */
export type AssignmentAccess = {
  find(keys: readonly AssignmentKey[]): Promise<(StoredRow | null)[]>;
  storeFirst(candidates: readonly AssignmentCandidate[]): Promise<StoreResult[]>;
};

/** The answer itself when everything asked for is in memory, which most requests are; else, and for every error, a promise. */
export type AssignUnit = (request: AssignmentRequest) => AssignmentResponse | Promise<AssignmentResponse>;

export type AssignUnitDeps = {
  currentDefinitions: () => DefinitionIndex;
  /** Reads the definitions again: an experiment unknown here may have been created a moment ago. Throws when they cannot be read. */
  lookAgain: () => Promise<void>;
  assignments: AssignmentAccess;
  cache: AssignmentCache;
  nowMs: () => number;
  /** Called for every experiment of every answer. */
  onDecision?: (reason: string, source: 'cache' | 'store' | 'computed') => void;
};

/** The experiment that a request means by a key or an id. */
export function findExperiment(index: DefinitionIndex, keyOrId: string): LiveExperiment | undefined {
  return index.byKey.get(keyOrId) ?? index.byId.get(keyOrId) ?? index.byId.get(keyOrId.toLowerCase());
}

function listRequested(index: DefinitionIndex, request: AssignmentRequest): readonly LiveExperiment[] {
  const { unit_type: unitType, requested_experiments: requested } = request;
  if (!index.unitTypes.has(unitType)) {
    throw new RequestError(400, {
      code: 'unknown-unit-type',
      field: 'unit_type',
      message: `no experiment randomizes units of the type ${unitType}`,
    });
  }
  if (requested === undefined) return index.unaskedByUnitType.get(unitType) ?? [];
  const found = new Set<LiveExperiment>();
  requested.forEach((keyOrId, position) => {
    const field = `requested_experiments[${position}]`;
    const live = findExperiment(index, keyOrId);
    if (live === undefined) {
      throw new RequestError(400, { code: 'unknown-experiment', field, message: `there is no experiment ${keyOrId}` });
    }
    if (live.experiment.unitType !== unitType) {
      throw new RequestError(400, {
        code: 'unit-type-mismatch',
        field,
        message: `experiment ${keyOrId} randomizes units of the type ${live.experiment.unitType}, not ${unitType}`,
      });
    }
    found.add(live);
  });
  return [...found];
}

function configOf({ config }: Variant): AssignmentAnswer['config'] {
  return config.params === undefined ? { ...config, params: {} } : (config as AssignmentAnswer['config']);
}

function addAnswer(
  response: AssignmentResponse,
  live: LiveExperiment,
  evaluation: Evaluation,
  options: { bucket: number; isStored: boolean },
): void {
  const { experiment, compiled } = live;
  const { assignment, servedVariantId, reason } = evaluation;
  const assigned = assignment?.variantId ?? null;
  const served = servedVariantId === null ? undefined : compiled.variants.get(servedVariantId);
  if (served === undefined) {
    response.not_assigned.push({
      experiment_id: experiment.experimentId,
      experiment_key: experiment.experimentKey,
      reason,
      assigned_variant_id: assigned,
    });
    return;
  }
  response.assignments.push({
    experiment_id: experiment.experimentId,
    experiment_key: experiment.experimentKey,
    variant_id: served.variantId,
    variant_name: served.name,
    config: configOf(served),
    assigned_variant_id: assigned,
    // The first answer and all later ones are the same: whether the row is new is nobody's business.
    reason: reason === 'forced' || reason === 'all-to' ? reason : 'assigned',
    hash_bucket: options.bucket,
    experiment_version: experiment.version,
    source: assignment?.source ?? null,
    stored: options.isStored,
  });
}

/** The experiments of a request, or null when something in it is not known here. */
function findKnown(index: DefinitionIndex, request: AssignmentRequest): readonly LiveExperiment[] | null {
  try {
    return listRequested(index, request);
  } catch (error) {
    if (error instanceof RequestError) return null;
    throw error;
  }
}

const mayBeNew: readonly string[] = ['unknown-experiment', 'unknown-unit-type'];

/** The experiments of a request; what is not known is looked up once more before it is refused. */
async function findRequested(deps: AssignUnitDeps, request: AssignmentRequest): Promise<readonly LiveExperiment[]> {
  try {
    return listRequested(deps.currentDefinitions(), request);
  } catch (error) {
    if (!(error instanceof RequestError) || !mayBeNew.includes(error.body.code)) throw error;
    await deps.lookAgain();
    return listRequested(deps.currentDefinitions(), request);
  }
}

type Asked = {
  readonly request: AssignmentRequest;
  readonly requested: readonly LiveExperiment[];
  /** Stored rows known so far. */
  readonly rows: Map<LiveExperiment, StoredRow>;
  readonly open: readonly LiveExperiment[];
  readonly evaluateWith: (live: LiveExperiment, stored: StoredRow | null, isInLayerMate?: boolean) => Evaluation;
};

/**
 * The decision of one request. Every assignment in an answer is a stored row, also when several instances decide on one unit at the
 * same moment; with `enroll: false` it is the stored row or what would be stored now.
 */
export function createAssignUnit(deps: AssignUnitDeps): AssignUnit {
  const { cache, nowMs } = deps;

  const lookInCache = (request: AssignmentRequest, requested: readonly LiveExperiment[]): Asked => {
    const unitId = asUnitId(request.unit_id);
    const unitType = asUnitType(request.unit_type);
    const context = request.context ?? {};
    const now = nowMs();
    const rows = new Map<LiveExperiment, StoredRow>();
    const open: LiveExperiment[] = [];
    for (const live of requested) {
      const cached = cache.find({ experimentId: live.experiment.experimentId, unitId });
      if (cached === undefined) {
        open.push(live);
        continue;
      }
      rows.set(live, cached);
      deps.onDecision?.('stored', 'cache');
    }
    const evaluateWith: Asked['evaluateWith'] = (live, stored, isInLayerMate = false) =>
      evaluate(live.compiled, { unitType, unitId, context, stored, isInLayerMate, nowMs: now });
    return { request, requested, rows, open, evaluateWith };
  };

  const answer = ({ request, requested, rows, evaluateWith }: Asked, taken?: ReadonlySet<LiveExperiment>) => {
    const response: AssignmentResponse = {
      unit_type: request.unit_type,
      unit_id: request.unit_id,
      assignments: [],
      not_assigned: [],
    };
    const unitId = asUnitId(request.unit_id);
    for (const live of requested) {
      const row = rows.get(live) ?? null;
      const evaluation = evaluateWith(live, row, taken?.has(live));
      if (row === null) deps.onDecision?.(evaluation.reason, 'computed');
      const bucket = evaluation.assignment?.bucket ?? live.compiled.bucketOf(unitId);
      addAnswer(response, live, evaluation, { bucket, isStored: row !== null });
    }
    return response;
  };

  const decide = async (asked: Asked): Promise<AssignmentResponse> => {
    const taken = await findTaken(deps, asked);
    await storeOrFind(deps, asked, taken);
    return answer(asked, taken);
  };

  return (request) => {
    const known = findKnown(deps.currentDefinitions(), request);
    if (known === null) return findRequested(deps, request).then((found) => decide(lookInCache(request, found)));
    const asked = lookInCache(request, known);
    return asked.open.length === 0 ? answer(asked) : decide(asked);
  };
}

/** Of the experiments that the unit would enter: those whose layer it is in already, by another experiment. */
async function findTaken(
  { currentDefinitions, assignments, cache }: AssignUnitDeps,
  { request, open, evaluateWith }: Asked,
): Promise<ReadonlySet<LiveExperiment>> {
  const entering = open.filter((live) => live.experiment.layer !== null && evaluateWith(live, null).isNew);
  if (entering.length === 0) return new Set();
  return findTakenByLayerMates(
    { index: currentDefinitions(), assignments, cache },
    entering,
    asUnitId(request.unit_id),
  );
}

/** Fills `rows`: stores what the unit gets now, and reads what may have been stored before. */
async function storeOrFind(
  { assignments, cache, onDecision }: AssignUnitDeps,
  { request, rows, open, evaluateWith }: Asked,
  taken: ReadonlySet<LiveExperiment>,
): Promise<void> {
  const unitId = asUnitId(request.unit_id);
  const unitType = asUnitType(request.unit_type);
  const toFind: LiveExperiment[] = [];
  const toStore: { live: LiveExperiment; candidate: AssignmentCandidate }[] = [];
  for (const live of open) {
    const { experimentId, version } = live.experiment;
    const { isNew, assignment } = evaluateWith(live, null, taken.has(live));
    if (isNew && assignment !== null && request.enroll !== false) {
      const candidate = { ...assignment, experimentId, unitId, unitType, experimentVersion: version };
      toStore.push({ live, candidate });
    } else {
      toFind.push(live);
    }
  }
  const [stored, found] = await Promise.all([
    assignments.storeFirst(toStore.map(({ candidate }) => candidate)),
    assignments.find(toFind.map(({ experiment }) => ({ experimentId: experiment.experimentId, unitId }))),
  ]);
  toStore.forEach(({ live }, position) => {
    const row = stored[position]!.stored;
    cache.keep(row);
    rows.set(live, row);
    onDecision?.(stored[position]!.isNew ? row.source : 'stored', 'store');
  });
  toFind.forEach((live, position) => {
    const row = found[position];
    if (row === null || row === undefined) return;
    cache.keep(row);
    rows.set(live, row);
    onDecision?.('stored', 'store');
  });
}
