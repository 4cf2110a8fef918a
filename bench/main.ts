/** `npm run bench`: measures Postrider against limits taken in the same run, and prints what it found. */
import { availableParallelism, loadavg } from 'node:os';
import type { ComposeCost, ComposeRequest } from './compose.ts';
import { counts, retentionAskedFor, sizeAskedFor } from './counts.ts';
import type { LoadAnswer, LoadRequest } from './load.ts';
import { measureBatch } from './measure-batch.ts';
import { measureCampaign } from './measure-campaign.ts';
import { type Bench, measureLimits } from './measure-limits.ts';
import { measureNaive } from './measure-naive.ts';
import { measureOurs } from './measure-ours.ts';
import { measureWaiting } from './measure-waiting.ts';
import { measureWebhooks } from './measure-webhooks.ts';
import { openOwnRedis } from './own-redis.ts';
import { monotonicMs, startPart } from './processes.ts';
import { type Round, report } from './report.ts';
import { measureRetention } from './retention.ts';
import type { SinkAnswer, SinkRequest } from './sink.ts';

// What was started is ended on exit, so a signal has only to exit.
process.once('SIGINT', () => process.exit(130)).once('SIGTERM', () => process.exit(143));

async function run(args: readonly string[]): Promise<void> {
  const startedAt = monotonicMs();
  const size = sizeAskedFor(args, process.env);
  const retained = retentionAskedFor(args);
  await using redis = await openOwnRedis();
  await using sink = startPart<SinkRequest, SinkAnswer>('./sink.ts');
  const { port: sinkPort } = await sink.ask({ kind: 'open' });
  // On a machine that is busy with something else even the ratios mean little.
  const load1m = loadavg()[0]?.toFixed(1);
  console.log(`Node ${process.version}, ${redis.description}, ${availableParallelism()} CPUs, load before ${load1m}`);
  if (retained !== null) return await measureRetention({ redis, sink, sinkPort }, retained);
  await using load = startPart<LoadRequest, LoadAnswer>('./load.ts');
  const bench: Bench = { counts: counts[size], redis, sink, sinkPort, load };
  const sizes = Object.entries(bench.counts).map(([name, count]) => `${name} ${count}`);
  console.log(`${size}: ${sizes.join(', ')}\n`);
  const rounds: Round[] = [];
  for (let round = 1; round <= bench.counts.rounds; round++) {
    const limits = await measureLimits(bench);
    const ours = await measureOurs(bench);
    const naive = await measureNaive(bench);
    const batch = await measureBatch(bench);
    const compose = await measureCompose(bench);
    const campaign = await measureCampaign(bench);
    rounds.push({ limits, ours, naive, batch, compose, campaign });
    process.stderr.write(`round ${round} of ${bench.counts.rounds} done after ${seconds(startedAt)} s\n`);
  }
  console.log(report(rounds, await measureWaiting(bench), await measureWebhooks(bench)));
}

async function measureCompose({ counts }: Bench): Promise<ComposeCost> {
  await using part = startPart<ComposeRequest, ComposeCost>('./compose.ts');
  return await part.ask(counts.compose);
}

function seconds(sinceMs: number): string {
  return ((monotonicMs() - sinceMs) / 1_000).toFixed(0);
}

await run(process.argv.slice(2));
