/** The report: ratios first, the figures they were made of beside them, and one line that says it all. */
import type { Family } from './books.ts';
import type { ComposeCost } from './compose.ts';
import { farMs } from './counts.ts';
import type { BatchCost } from './measure-batch.ts';
import type { CampaignCost } from './measure-campaign.ts';
import type { Limits } from './measure-limits.ts';
import type { Naive } from './measure-naive.ts';
import type { Memory, Ours } from './measure-ours.ts';
import type { Waiting } from './measure-waiting.ts';
import type { Webhooks } from './measure-webhooks.ts';
import { median, ratio } from './medians.ts';
import { campaignSummary, campaignTable } from './report-campaign.ts';
import { type Row, table, whole } from './table.ts';

export type Round = {
  readonly limits: Limits;
  readonly ours: Ours;
  readonly naive: Naive;
  readonly batch: BatchCost;
  readonly compose: ComposeCost;
  readonly campaign: CampaignCost;
};

const smallestShownBytes = 1;
const shownCommands = 12;

/** @param rounds at least one; of every figure and every ratio the median is shown */
export function report(rounds: readonly Round[], waiting: Waiting, webhooks: Webhooks): string {
  const parts = [
    acceptTable(rounds),
    batchTable(rounds),
    composeTable(rounds),
    deliverTable(rounds),
    endToEndTable(rounds),
    campaignTable(rounds),
    waitingTable(waiting),
    webhooksTable(webhooks),
    costTable(rounds),
    memoryTable(rounds),
  ];
  return [
    ...parts,
    [summary(rounds), campaignSummary(rounds), waitingSummary(waiting), webhooksSummary(webhooks)].join(' | '),
  ].join('\n\n');
}

function summary(rounds: readonly Round[]): string {
  const figures = [
    `accept ${ratio(rounds, acceptRate, bullmqRate)} of fastify+zod+bullmq, ${ratio(rounds, acceptRate, fastifyRate)} of fastify+zod`,
    `batch ${batchShare(rounds, 'list')} of single, over a base ${batchShare(rounds, 'base')}`,
    `compose ${ratio(rounds, composeCost, mailComposerCost)} of MailComposer`,
    `deliver ${ratio(rounds, deliverRate, connectionRate)} of SMTPConnection, ${ratio(rounds, deliverRate, sendMailRate)} of sendMail pool, ${farMs} ms away ${ratio(rounds, farRate, farSendMailRate)} of it`,
    `end to end ${ratio(rounds, endToEndRate, naiveRate)} of the naive stack, ${ratio(rounds, endToEndRate, sendMailRate)} of sendMail pool, ${ratio(rounds, endToEndRate, connectionRate)} of SMTPConnection`,
    `CPU ${cpuOf(rounds, totalCpu)} s/1000, ${naiveCpu(rounds)} of the naive stack`,
    `${whole(median(rounds, (round) => round.ours.finished.total))} B/email`,
  ];
  return figures.join(' | ');
}

const acceptRate = ({ ours }: Round) => ours.accept.perSecond;
const deliverRate = ({ ours }: Round) => ours.deliver;
const farRate = ({ ours }: Round) => ours.farDeliver;
const farSendMailRate = ({ limits }: Round) => limits.farSendMail;
const endToEndRate = ({ ours }: Round) => ours.endToEnd.perSecond;
const fastifyRate = ({ limits }: Round) => limits.fastifyZod.perSecond;
const bullmqRate = ({ limits }: Round) => limits.fastifyZodBullmq.perSecond;
const composeCost = ({ compose }: Round) => compose.ours;
const mailComposerCost = ({ compose }: Round) => compose.mailComposer;
const rawRate = ({ limits }: Round) => limits.raw;
const connectionRate = ({ limits }: Round) => limits.connection;
const naiveRate = ({ naive }: Round) => naive.perSecond;
const sendMailRate = ({ limits }: Round) => limits.sendMail;

function acceptTable(rounds: readonly Round[]): string {
  const of = (pick: (round: Round) => { p50Ms: number; p99Ms: number }) => [
    median(rounds, (round) => pick(round).p50Ms).toFixed(1),
    median(rounds, (round) => pick(round).p99Ms).toFixed(1),
  ];
  const rate = (pick: (round: Round) => number) => whole(median(rounds, pick));
  return table(
    ['accept', 'ours is', 'emails/s', 'p50 ms', 'p99 ms'],
    [
      ['POST /v1/emails', '', rate(acceptRate), ...of(({ ours }) => ours.accept)],
      [
        'limit: fastify + zod',
        ratio(rounds, acceptRate, fastifyRate),
        rate(fastifyRate),
        ...of(({ limits }) => limits.fastifyZod),
      ],
      [
        'limit: fastify + zod + bullmq add',
        ratio(rounds, acceptRate, bullmqRate),
        rate(bullmqRate),
        ...of(({ limits }) => limits.fastifyZodBullmq),
      ],
    ],
  );
}

/** A limit: what share of it ours is, and the limit itself. */
function limitRow(
  rounds: readonly Round[],
  name: string,
  ours: (round: Round) => number,
  limit: (round: Round) => number,
): Row {
  return [name, ratio(rounds, ours, limit), whole(median(rounds, limit))];
}

function batchTable(rounds: readonly Round[]): string {
  const cost = (kind: keyof NonNullable<BatchCost>) =>
    last(rounds).batch === null ? 'n/a' : median(rounds, ({ batch }) => batch?.[kind] ?? Number.NaN).toFixed(0);
  return table(
    ['1,000-batch', 'of single', 'CPU µs per email'],
    [
      ['POST /v1/emails, one by one', '', cost('single')],
      ['1,000 whole letters', batchShare(rounds, 'list'), cost('list')],
      ['one letter as base, 1,000 readers', batchShare(rounds, 'base'), cost('base')],
    ],
  );
}

function batchShare(rounds: readonly Round[], kind: 'list' | 'base'): string {
  if (last(rounds).batch === null) return 'n/a';
  return median(rounds, ({ batch }) => (batch?.[kind] ?? Number.NaN) / (batch?.single ?? Number.NaN)).toFixed(2);
}

function composeTable(rounds: readonly Round[]): string {
  return table(
    ['compose', 'ours is', 'CPU µs per letter'],
    [
      ['text and HTML into one Buffer', '', whole(median(rounds, composeCost))],
      limitRow(rounds, 'limit: nodemailer MailComposer', composeCost, mailComposerCost),
    ],
  );
}

function deliverTable(rounds: readonly Round[]): string {
  return table(
    ['deliver', 'ours is', 'messages/s'],
    [
      ['worker alone', '', whole(median(rounds, deliverRate))],
      limitRow(rounds, 'limit: raw pipelined SMTP', deliverRate, rawRate),
      limitRow(rounds, 'limit: SMTPConnection, ready buffer', deliverRate, connectionRate),
      limitRow(rounds, 'limit: nodemailer pool, sendMail', deliverRate, sendMailRate),
      [`worker alone, ${farMs} ms away`, '', whole(median(rounds, farRate))],
      limitRow(rounds, `limit: nodemailer pool, ${farMs} ms away`, farRate, farSendMailRate),
    ],
  );
}

function endToEndTable(rounds: readonly Round[]): string {
  const latency = (pick: (round: Round) => number) => median(rounds, pick).toFixed(1);
  return table(
    ['end to end', 'ours is', 'messages/s', 'p50 ms', 'p99 ms'],
    [
      [
        'first POST to last 250',
        '',
        whole(median(rounds, endToEndRate)),
        latency(({ ours }) => ours.endToEnd.p50Ms),
        latency(({ ours }) => ours.endToEnd.p99Ms),
      ],
      limitRow(rounds, 'the naive stack', endToEndRate, naiveRate),
      limitRow(rounds, 'limit: SMTPConnection, ready buffer', endToEndRate, connectionRate),
      limitRow(rounds, 'limit: nodemailer pool, sendMail', endToEndRate, sendMailRate),
    ],
  );
}

function naiveCpu(rounds: readonly Round[]): string {
  if (last(rounds).naive.cpu === null) return 'n/a';
  const cpu = ({ ours }: Round) => (ours.endToEnd.cpu === null ? Number.NaN : totalCpu(ours.endToEnd.cpu));
  return ratio(rounds, cpu, ({ naive }) => naive.cpu ?? Number.NaN);
}

function costTable(rounds: readonly Round[]): string {
  const { byName } = last(rounds).ours.endToEnd.commands;
  const most = [...byName].sort(([, a], [, b]) => b - a).slice(0, shownCommands);
  return table(
    ['cost end to end', '', ''],
    [
      [
        'CPU s per 1,000 emails',
        cpuOf(rounds, totalCpu),
        `api ${cpuOf(rounds, (cpu) => cpu.api)}, worker ${cpuOf(rounds, (cpu) => cpu.worker)}, redis ${cpuOf(rounds, (cpu) => cpu.redis)}`,
      ],
      [
        'Redis commands per email',
        median(rounds, ({ ours }) => ours.endToEnd.commands.executed).toFixed(1),
        most.map(([name, n]) => `${name} ${n.toFixed(1)}`).join(', '),
      ],
      [
        'Redis socket reads per email',
        median(rounds, ({ ours }) => ours.endToEnd.commands.reads).toFixed(1),
        'commands that came together count once',
      ],
    ],
    ['left', 'right', 'left'],
  );
}

function waitingTable({ bulk, transactional, parked }: Waiting): string {
  const { count, p50Ms, p99Ms } = transactional;
  return table(
    ['while mail waits', ''],
    [
      ['bulk emails waiting, before and after', `${whole(bulk.before)}, ${whole(bulk.after)}`],
      ['bulk emails sent per second meanwhile', whole(bulk.perSecond)],
      [`${count} transactional ones, POST to 250`, `p50 ${p50Ms.toFixed(0)} ms, p99 ${p99Ms.toFixed(0)} ms`],
      [`worker with ${whole(parked.emails)} parked at 1/s`, `${cpuShare(parked.cpu)} of a core`],
    ],
    ['left', 'left'],
  );
}

function waitingSummary({ transactional, parked }: Waiting): string {
  return `beside bulk p99 ${transactional.p99Ms.toFixed(0)} ms, parked ${cpuShare(parked.cpu)} CPU`;
}

function webhooksTable({ single, batched, bare, waiting }: Webhooks): string {
  const events = `${whole(waiting.events)} events waiting for a dead endpoint`;
  return table(
    ['webhooks', 'of the limit', ''],
    [
      ['to one endpoint, one by one', (single / bare).toFixed(2), `${whole(single)} events/s`],
      ['in batches of 100', (batched / bare).toFixed(2), `${whole(batched)} events/s`],
      ['limit: bare POSTs, same client', '', `${whole(bare)} POSTs/s`],
      [events, '', `${whole(waiting.bytes)} bytes each beside the event`],
    ],
  );
}

function webhooksSummary({ single, batched, bare, waiting }: Webhooks): string {
  const ratios = `${(single / bare).toFixed(2)} of bare POSTs, batched ${(batched / bare).toFixed(2)}`;
  return `webhooks ${ratios}, ${whole(waiting.bytes)} B/waiting`;
}

function cpuShare(cpu: number | null): string {
  return cpu === null ? 'n/a' : `${(100 * cpu).toFixed(1)} %`;
}

function memoryTable(rounds: readonly Round[]): string {
  const { waiting, finished, forgotten } = last(rounds).ours;
  const total = (pick: (round: Round) => Memory) => whole(median(rounds, (round) => pick(round).total));
  const names = new Set([...waiting.families, ...finished.families].map(({ name }) => name));
  const shown = [...names].filter(
    (name) => Math.max(bytesOf(waiting.families, name), bytesOf(finished.families, name)) >= smallestShownBytes,
  );
  return table(
    ['Redis bytes per email', 'waiting', 'finished', 'after retention'],
    [
      [
        'used_memory',
        ...[
          ({ ours }: Round) => ours.waiting,
          ({ ours }: Round) => ours.finished,
          ({ ours }: Round) => ours.forgotten,
        ].map(total),
      ],
      ...shown.map((name) => [
        `  ${name}`,
        whole(bytesOf(waiting.families, name)),
        whole(bytesOf(finished.families, name)),
        whole(bytesOf(forgotten.families, name)),
      ]),
    ],
  );
}

function bytesOf(families: readonly Family[], name: string): number {
  return families.find((family) => family.name === name)?.bytes ?? 0;
}

function totalCpu({ api, worker, redis }: { api: number; worker: number; redis: number }): number {
  return api + worker + redis;
}

function cpuOf(
  rounds: readonly Round[],
  pick: (cpu: { api: number; worker: number; redis: number }) => number,
): string {
  if (last(rounds).ours.endToEnd.cpu === null) return 'n/a';
  return median(
    rounds,
    ({
      ours: {
        endToEnd: { cpu },
      },
    }) => (cpu === null ? Number.NaN : pick(cpu)),
  ).toFixed(2);
}

function last(rounds: readonly Round[]): Round {
  const round = rounds.at(-1);
  if (round === undefined) throw new Error('nothing was measured');
  return round;
}
