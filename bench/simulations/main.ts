// Runs every simulation at full size with fixed seeds and prints what was measured: `npm run simulations`.
import { coverageFindings, cupedFinding } from './coverage.ts';
import { guardrailFindings } from './guardrail.ts';
import { groupSequentialFinding, sampleRatioFindings } from './looks.ts';
import { offPolicyFindings } from './off-policy.ts';
import { peekingFindings } from './peeking.ts';
import { type Finding, isWithin } from './simulation.ts';

const SIMULATIONS: readonly (() => readonly Finding[])[] = [
  () => peekingFindings({ seed: 11, runs: 2000, looks: 30, unitsPerLook: 250, alpha: 0.05, tuningUnits: 5000 }),
  () => coverageFindings({ seed: 21, runs: 10_000, unitsPerVariant: 300 }),
  () => [cupedFinding({ seed: 31, runs: 1000, unitsPerVariant: 500 })],
  () => [groupSequentialFinding({ seed: 41, runs: 100_000 })],
  () => sampleRatioFindings({ seed: 51, runs: 2000 }),
  () => guardrailFindings({ seed: 71, runs: 1000, from: 100, to: 3000 }),
  () => offPolicyFindings({ seed: 61, runs: 1000, rounds: 500, resamples: 400 }),
];

function main(): void {
  let failed = 0;
  for (const simulate of SIMULATIONS) {
    for (const finding of simulate()) {
      const ok = isWithin(finding);
      if (!ok) failed += 1;
      const range = `${finding.least.toFixed(4)} to ${finding.most.toFixed(4)}`;
      process.stdout.write(
        `${ok ? 'ok    ' : 'FAILED'} ${finding.name.padEnd(62)} ${finding.measured.toFixed(4)}  (${range}, ${finding.runs} runs)\n`,
      );
    }
  }
  process.stdout.write(failed === 0 ? 'all within their ranges\n' : `${failed} outside their ranges\n`);
  process.exitCode = failed === 0 ? 0 : 1;
}

main();
