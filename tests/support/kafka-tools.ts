// Kafka's own Java tools as independent clients.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { kafkaToolCommand } from '#infra/local/java-artifacts.ts';

/** Runs a tool of Kafka's distribution to its end and gives its standard output. Fails with its error output. */
export async function runKafkaTool(mainClass: string, args: readonly string[], input = ''): Promise<string> {
  const command = await kafkaToolCommand(mainClass, args);
  const child = spawn(command.file, command.args, { stdio: ['pipe', 'pipe', 'pipe'] });
  let [output, errors] = ['', ''];
  child.stdout.on('data', (chunk) => {
    output += String(chunk);
  });
  child.stderr.on('data', (chunk) => {
    errors += String(chunk);
  });
  child.stdin.end(input);
  const [code] = (await once(child, 'close')) as [number | null];
  if (code !== 0) throw new Error(`${mainClass} failed (exit code ${code}): ${errors}`);
  return output;
}
