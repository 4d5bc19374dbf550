// Kafka's own Java tools as independent clients.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { kafkaToolCommand } from '#infra/local/java-artifacts.ts';

/** Runs a tool of Kafka's distribution to its end and gives its standard output. Fails with its error output. */
export async function runKafkaTool(mainClass: string, args: readonly string[], input = ''): Promise<string> {
  const command = await kafkaToolCommand(mainClass, args);
  const child = spawn(command.file, command.args, { stdio: ['pipe', 'pipe', 'pipe'] });
  let [output, errors] = ['', ''];
  // Decoded as a stream: a character may be split over two chunks.
  child.stdout.setEncoding('utf8').on('data', (chunk: string) => {
    output += chunk;
  });
  child.stderr.setEncoding('utf8').on('data', (chunk: string) => {
    errors += chunk;
  });
  child.stdin.end(input);
  const [code] = (await once(child, 'close')) as [number | null];
  if (code !== 0) throw new Error(`${mainClass} failed (exit code ${code}): ${errors}`);
  return output;
}
