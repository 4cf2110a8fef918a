/** Gauges: what is read when /metrics is requested, rather than counted. */
import { Gauge } from 'prom-client';
import { type Lane, lanes } from '../domain/lane.ts';
import type { Levels } from '../domain/levels.ts';
import type { MetricName, NamesOf } from './metrics.ts';

/** Open SMTP connections of this process to one transport. */
export type PoolLevel = { readonly transport: string; readonly open: number; readonly busy: number };

export function openGauges(described: (name: MetricName) => ConstructorParameters<typeof Gauge>[0]) {
  const gauge = (name: NamesOf<'gauge'>) => new Gauge(described(name));
  const up = gauge('postrider_redis_up');
  const waiting = gauge('postrider_waiting_emails');
  const oldestWaiting = gauge('postrider_oldest_waiting_seconds');
  const parked = gauge('postrider_parked_emails');
  const breakerOpen = gauge('postrider_breaker_open');
  const paused = gauge('postrider_transport_paused');
  const unnotified = gauge('postrider_outbox_unnotified_events');
  const memory = gauge('postrider_redis_memory_bytes');
  const webhookWaiting = gauge('postrider_webhook_waiting_events');
  const webhookOldest = gauge('postrider_webhook_oldest_waiting_seconds');
  const pools = gauge('postrider_pool_connections');
  const taking = gauge('postrider_taking_mail');
  let readPools: () => readonly PoolLevel[] = () => [];
  let readIntake: (() => readonly Lane[]) | null = null;

  /** An unknown gauge without labels has no value; `reset` would make it 0. */
  function set(gauge: Gauge, value: number | null): void {
    if (value === null) gauge.remove();
    else gauge.set(value);
  }

  function showPools(): readonly PoolLevel[] {
    const levels = readPools();
    pools.reset();
    for (const { transport, open, busy } of levels) {
      pools.set({ transport, state: 'busy' }, busy);
      pools.set({ transport, state: 'idle' }, Math.max(0, open - busy));
    }
    return levels;
  }

  function showIntake(taken: readonly Lane[]): void {
    for (const lane of lanes) taking.set({ lane }, taken.includes(lane) ? 1 : 0);
  }

  return {
    /** The pools of this process. A process without pools shows none. */
    watchPools(read: () => readonly PoolLevel[]): void {
      readPools = read;
    },

    /** A process without the API takes no mail and shows nothing of it. */
    watchIntake(read: () => readonly Lane[]): void {
      readIntake = read;
    },

    /** @returns the pools that are shown */
    show(levels: Levels | null): readonly PoolLevel[] {
      up.set(levels === null ? 0 : 1);
      for (const labelled of [waiting, oldestWaiting, parked, breakerOpen, paused]) labelled.reset();
      for (const lane of levels === null ? [] : lanes) {
        waiting.set({ lane }, levels?.lanes[lane].waiting ?? 0);
        oldestWaiting.set({ lane }, (levels?.lanes[lane].oldestMs ?? 0) / 1_000);
      }
      for (const { name: transport, isOpen, isPaused, parked: counts } of levels?.transports ?? []) {
        breakerOpen.set({ transport }, isOpen ? 1 : 0);
        paused.set({ transport }, isPaused ? 1 : 0);
        for (const lane of lanes) parked.set({ transport, lane }, counts[lane]);
      }
      set(unnotified, levels?.unnotified ?? null);
      set(memory, levels?.memoryBytes ?? null);
      set(webhookWaiting, levels?.webhooks.waiting ?? null);
      set(webhookOldest, levels === null ? null : levels.webhooks.oldestMs / 1_000);
      if (readIntake !== null) showIntake(levels === null ? [] : readIntake());
      return showPools();
    },
  };
}
