/** How much of everything a run measures: the one table of counts. */

export type Counts = {
  /** Times everything is measured; a ratio compares two figures of one round, and the median of the rounds is reported. */
  readonly rounds: number;
  /** Requests to a server, and messages of a sender, before it is measured. */
  readonly warmUp: number;
  /** Requests to each of the two limits of accept. */
  readonly acceptLimit: number;
  /** Letters composed, by us and by nodemailer. */
  readonly compose: number;
  readonly raw: number;
  readonly connection: number;
  readonly sendMail: number;
  /** Messages to a server that is far away, by `sendMail` and by us. */
  readonly far: number;
  /** Emails we accept with no worker running; a worker started afterwards delivers them. */
  readonly ours: number;
  /** Emails posted while api and worker both run. */
  readonly endToEnd: number;
  /** Emails through the naive stack, end to end. */
  readonly naive: number;
  /** Batches of 1,000, of each kind. */
  readonly batches: number;
  /** Recipients of a campaign. */
  readonly campaign: number;
  /** Bulk emails that wait while transactional ones pass. */
  readonly bulk: number;
  /** Those transactional ones. */
  readonly watched: number;
  /** Emails that wait for a transport of one message a second. */
  readonly parked: number;
  /** Events to one webhook endpoint, one by one, and as many bare POSTs; and in batches. The second half of them is measured. */
  readonly hooks: number;
  readonly batchedHooks: number;
  /** Events that wait for an endpoint that is down. */
  readonly deadHooks: number;
};

export type Size = 'full' | 'short';

export const counts: Readonly<Record<Size, Counts>> = {
  full: {
    rounds: 3,
    warmUp: 20_000,
    acceptLimit: 12_000,
    compose: 10_000,
    raw: 15_000,
    connection: 12_000,
    sendMail: 6_000,
    far: 2_000,
    ours: 12_000,
    endToEnd: 12_000,
    naive: 8_000,
    batches: 10,
    campaign: 40_000,
    bulk: 100_000,
    watched: 300,
    parked: 10_000,
    hooks: 20_000,
    batchedHooks: 100_000,
    deadHooks: 100_000,
  },
  short: {
    rounds: 1,
    warmUp: 500,
    acceptLimit: 4_000,
    compose: 4_000,
    raw: 10_000,
    connection: 5_000,
    sendMail: 2_000,
    far: 500,
    ours: 3_000,
    endToEnd: 3_000,
    naive: 2_000,
    batches: 4,
    campaign: 5_000,
    bulk: 10_000,
    watched: 50,
    parked: 1_000,
    hooks: 1_000,
    batchedHooks: 5_000,
    deadHooks: 5_000,
  },
};

/** Keep-alive connections of the load generator, each with one request under way. */
export const httpConnections = 50;
/** SMTP connections of every sender that has a pool, ours among them: twice the default, as a busy account has. */
export const smtpConnections = 20;
/** Round trip to a server that is far away, as one of a provider in the same part of the world is. */
export const farMs = 20;
/** The raw client loads a connection fully; a few saturate the sink. */
export const rawConnections = 4;
/** Part that warms up and is not counted, where it is not `warmUp`; every part starts in a fresh process. */
export const uncountedShare = 0.1;
/** Longest wait for any one answer or condition: beyond it something is broken. */
export const deadlineMs = 120_000;

/** Emails of `--retention`, where nothing is said of them. */
const usualRetention = 1_000_000;

/** @returns how many emails retention is measured with; null when the usual run is asked for */
export function retentionAskedFor(args: readonly string[]): number | null {
  const at = args.indexOf('--retention');
  if (at < 0) return null;
  const given = args[at + 1] ?? String(usualRetention);
  if (/^[1-9]\d{0,8}$/.test(given)) return Number(given);
  throw new Error(`--retention takes a number of emails, not ${given}`);
}

export function sizeAskedFor(args: readonly string[], env: Readonly<Record<string, string | undefined>>): Size {
  return args.includes('--short') || env.BENCH_SHORT === '1' ? 'short' : 'full';
}
