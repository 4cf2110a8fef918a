/**
 * Meters: one function for each measurement, with a registry of their own. Values that are not counted here are read when /metrics is requested.
 */
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';
import { type Fetched, fetchOutcomes } from '../domain/attachment.ts';
import { type Lane, lanes } from '../domain/lane.ts';
import { type AttemptOutcome, attemptOutcomes } from '../domain/ledger.ts';
import type { Levels } from '../domain/levels.ts';
import type { AttemptTrace } from '../domain/outcome.ts';
import { isSuccess } from '../domain/post.ts';
import { type RefusalReason, refusalReasons } from '../domain/problem.ts';
import { type RecipientStatus, recipientStatuses } from '../domain/recipient.ts';
import { openGauges, type PoolLevel } from './gauges.ts';
import { type Metric, type MetricName, metrics, type NamesOf } from './metrics.ts';

export type Meters = ReturnType<typeof openMeters>;

/** Methods that a route may have; any other counts as `other`. */
const methods: ReadonlySet<string> = new Set(['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS']);
const takesMail = ['true', 'false'] as const;
const phaseNames = ['connect', 'envelope', 'body'] as const;
const postOutcomes = ['delivered', 'refused', 'unanswered'] as const;

export function openMeters() {
  const registry = new Registry();
  const described = (name: MetricName) => {
    const { help, labels, buckets }: Metric = metrics[name];
    return { name, help, labelNames: labels, registers: [registry], ...(buckets && { buckets: [...buckets] }) };
  };
  const counter = (name: NamesOf<'counter'>) => new Counter(described(name));
  const histogram = (name: NamesOf<'histogram'>) => new Histogram(described(name));
  collectDefaultMetrics({ register: registry, prefix: 'postrider_' });

  const accepted = counter('postrider_accepted_emails_total');
  const refused = counter('postrider_refused_requests_total');
  const recipients = counter('postrider_recipients_total');
  const queueWait = histogram('postrider_queue_wait_seconds');
  const acceptToSent = histogram('postrider_accept_to_sent_seconds');
  const phases = histogram('postrider_smtp_phase_seconds');
  const attempts = counter('postrider_attempts_total');
  const fetches = counter('postrider_file_fetches_total');
  const posts = counter('postrider_webhook_posts_total');
  const postTime = histogram('postrider_webhook_post_seconds');
  const requests = counter('postrider_http_requests_total');
  const requestTime = histogram('postrider_http_request_seconds');
  const linesDropped = counter('postrider_log_lines_dropped_total');
  const transportsFileWrong = new Gauge(described('postrider_transports_file_wrong'));
  const clockDifference = new Gauge(described('postrider_clock_difference_seconds'));
  const gauges = openGauges(described);

  // A series that begins with its first count hides that count from `rate`, so each begins at 0.
  for (const reason of refusalReasons) for (const takes_mail of takesMail) refused.inc({ reason, takes_mail }, 0);
  for (const outcome of postOutcomes) posts.inc({ outcome }, 0);
  for (const lane of lanes) {
    accepted.inc({ lane }, 0);
    queueWait.zero({ lane });
    acceptToSent.zero({ lane });
    for (const status of recipientStatuses) recipients.inc({ lane, status }, 0);
    for (const outcome of fetchOutcomes) fetches.inc({ lane, outcome }, 0);
  }

  /** Transports that have series of their own, and those that keep them whatever the plan says; null while that is unknown. */
  const counted = new Set<string>();
  let fixed: ReadonlySet<string> | null = null;

  /** Otherwise each renaming would leave its lines as long as the process lives. */
  function forgetAllBut(kept: ReadonlySet<string>): void {
    for (const transport of counted.difference(kept)) {
      for (const outcome of attemptOutcomes) attempts.remove({ transport, outcome });
      for (const phase of phaseNames) phases.remove({ transport, phase });
      counted.delete(transport);
    }
  }

  return {
    request(route: string, method: string, status: number, ms: number): void {
      requests.inc({ route, method: methods.has(method) ? method : 'other', status }, 1);
      requestTime.observe({ route }, ms / 1_000);
    },

    /** @param takesMail whether the route accepts mail */
    refused(reason: RefusalReason, takesMail: boolean): void {
      refused.inc({ reason, takes_mail: String(takesMail) }, 1);
    },

    accepted(lane: Lane): void {
      accepted.inc({ lane }, 1);
    },

    entered(lane: Lane, status: RecipientStatus, count = 1): void {
      recipients.inc({ lane, status }, count);
    },

    attempt(transport: string, outcome: AttemptOutcome, trace: AttemptTrace | undefined): void {
      counted.add(transport);
      attempts.inc({ transport, outcome }, 1);
      if (trace === undefined) return;
      for (const phase of phaseNames) {
        const ms = trace.ms[phase];
        if (ms !== null) phases.observe({ transport, phase }, ms / 1_000);
      }
    },

    fetched(lane: Lane, outcome: Fetched['kind']): void {
      fetches.inc({ lane, outcome }, 1);
    },

    queueWait(lane: Lane, ms: number): void {
      queueWait.observe({ lane }, ms / 1_000);
    },

    acceptToSent(lane: Lane, ms: number): void {
      acceptToSent.observe({ lane }, ms / 1_000);
    },

    /** @param status of the answer; 0 for none */
    posted(status: number, ms: number): void {
      const outcome: (typeof postOutcomes)[number] =
        status === 0 ? 'unanswered' : isSuccess(status) ? 'delivered' : 'refused';
      posts.inc({ outcome }, 1);
      postTime.observe(ms / 1_000);
    },

    transportsFile(isWrong: boolean): void {
      transportsFileWrong.set(isWrong ? 1 : 0);
    },

    clockDifference(ms: number): void {
      clockDifference.set(ms / 1_000);
    },

    lineDropped(): void {
      linesDropped.inc();
    },

    /** @param others transports without a pool */
    watchPools(read: () => readonly PoolLevel[], others: readonly string[]): void {
      gauges.watchPools(read);
      fixed = new Set(others);
    },

    /** @param read the lanes whose new mail this process takes while Redis answers */
    watchIntake(read: () => readonly Lane[]): void {
      gauges.watchIntake(read);
    },

    /**
     * All metrics as text in Prometheus' format. Those of a transport that the plan dropped are there once more, with what was counted last.
     * @param levels null while Redis is away
     */
    async render(levels: Levels | null): Promise<string> {
      const pools = gauges.show(levels).map(({ transport }) => transport);
      for (const transport of pools) {
        counted.add(transport);
        for (const outcome of attemptOutcomes) attempts.inc({ transport, outcome }, 0);
      }
      const text = await registry.metrics();
      if (fixed !== null) forgetAllBut(fixed.union(new Set(pools)));
      return text;
    },
  };
}
