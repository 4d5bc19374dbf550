// An explanation in sentences, in the order in which evaluation decides; pure.
import type { Explanation } from '#domain/experiment/explain.ts';

export type DecisionFacts = {
  readonly explanation: Explanation;
  readonly unitType: string;
  readonly experimentUnitType: string;
  readonly servingMode: string;
  readonly storedVariantName: string | null;
  readonly storedSource: string | null;
  /** Key of another experiment of the layer in which the unit is stored. */
  readonly layerMateKey: string | null;
  readonly nameOf: (variantId: string | null) => string | null;
};

/** What evaluation looks at when the unit has no stored row: each check until the first that keeps the unit out. */
function describeFirstEntry({ explanation, layerMateKey, nameOf }: DecisionFacts): string[] {
  const { enrolmentClosed, forcedVariantId, isTargeted, holdout, layer, byHash, bucket } = explanation;
  if (enrolmentClosed !== null) return [`No row is stored, and nobody is enrolled now: ${enrolmentClosed}.`];
  const sentences = ['No row is stored, and the experiment enrolls units now.'];
  if (forcedVariantId !== null) {
    return [...sentences, `The definition names this unit as a test unit of ${nameOf(forcedVariantId)}.`];
  }
  if (isTargeted !== null) {
    sentences.push(`Targeting ${isTargeted ? 'admits' : 'does not admit'} the given context.`);
    if (!isTargeted) return sentences;
  }
  if (holdout !== null) {
    sentences.push(
      `Holdout ${holdout.holdoutId} ${holdout.isHeldOut ? 'keeps the unit out' : 'lets the unit in'} (bucket ${holdout.bucket}).`,
    );
    if (holdout.isHeldOut) return sentences;
  }
  if (layer !== null) {
    sentences.push(
      `The experiment ${layer.isInRange ? 'owns' : 'does not own'} the unit's bucket ${layer.bucket} of layer ${layer.layerId}.`,
    );
    if (!layer.isInRange) return sentences;
    if (layerMateKey !== null) {
      return [...sentences, `The unit is stored in ${layerMateKey}, another experiment of layer ${layer.layerId}.`];
    }
  }
  if (byHash.kind === 'assigned') {
    sentences.push(`Bucket ${bucket} lies in the range of ${nameOf(byHash.variantId)}.`);
  } else if (byHash.reason === 'outside-coverage') {
    sentences.push(`Bucket ${bucket} is not enrolled at the present coverage; a higher one would enroll it.`);
  } else {
    sentences.push(`Bucket ${bucket} belongs to no variant at any coverage.`);
  }
  return sentences;
}

function describeServing({ explanation, servingMode, nameOf }: DecisionFacts): string {
  const { evaluation } = explanation;
  const served = nameOf(evaluation.servedVariantId);
  if (evaluation.reason === 'off') return 'Serving is off: everybody gets the default.';
  if (evaluation.reason === 'all-to') return `Serving is all_to: everybody who is admitted gets ${served}.`;
  if (evaluation.reason === 'forced') return `Test units get the variant that the definition names: ${served}.`;
  if (served === null) return `The unit gets the default: ${evaluation.reason}.`;
  return `Serving is ${servingMode}: the unit gets ${served}.`;
}

/** Why the answer is what it is, as a person would say it. */
export function describeDecision(facts: DecisionFacts): string[] {
  const { explanation, unitType, experimentUnitType, storedSource, storedVariantName } = facts;
  if (!explanation.unitTypeMatches) {
    return [`The experiment randomizes units of the type ${experimentUnitType}, not ${unitType}.`];
  }
  const entry =
    storedSource === null
      ? describeFirstEntry(facts)
      : [
          `A row is stored (${storedSource}) with the variant ${storedVariantName ?? 'of an earlier definition'}; it never changes.`,
        ];
  return [...entry, describeServing(facts)];
}
