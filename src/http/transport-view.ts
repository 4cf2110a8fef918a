/** A transport in answers. */

import { isoOf, isoOrNull } from '../domain/iso-time.ts';
import { type Rate, windowName } from '../domain/rate.ts';
import { isHangingPool, type TransportReport, type Verification } from '../domain/transport-report.ts';
import { type Breaker, isTrialOpen } from '../domain/transport-state.ts';
import type { TransportView, VerifyResult } from './transport-schemas.ts';

export function transportViewOf(report: TransportReport): TransportView {
  const { name, host, state, factor, limits, parked } = report;
  return {
    object: 'transport',
    name,
    host,
    state: stateOf(report),
    paused_at: isoOrNull(state.paused?.at ?? null),
    breaker: breakerOf(state.breaker),
    brake: { factor },
    pool: poolOf(report),
    rates: limits.map((limit) => rateOf(limit, report)),
    parked,
  };
}

function stateOf({ state: { paused, breaker }, pool }: TransportReport): TransportView['state'] {
  if (paused !== null) return 'paused';
  if (breaker.kind === 'open') return 'degraded';
  return isHangingPool(pool) ? 'hanging' : 'ok';
}

function poolOf({ pool: { connections, granted, ...rest } }: TransportReport): TransportView['pool'] {
  return { connections, granted_connections: granted, ...rest };
}

function breakerOf(breaker: Breaker): TransportView['breaker'] {
  if (breaker.kind === 'closed')
    return { state: 'closed', reason: null, cause: null, since: null, next_probe_at: null };
  const { reason, cause, since, probeAt } = breaker;
  const nextProbeAt = isTrialOpen(breaker) ? null : isoOf(probeAt);
  return { state: 'open', reason, cause, since: isoOf(since), next_probe_at: nextProbeAt };
}

function rateOf(limit: Rate, { rates }: TransportReport): TransportView['rates'][number] {
  const left = rates.find(({ windowMs }) => windowMs === limit.windowMs);
  return {
    limit: limit.count,
    window: windowName(limit),
    remaining: left?.remaining ?? null,
    reset_at: isoOrNull(left?.resetAt ?? null),
  };
}

export function verificationViewOf(name: string, { ms, tls, fault }: Verification): VerifyResult {
  const { cause = null, reason: detail = null } = fault ?? {};
  return { object: 'transport_verification', name, ok: fault === null, ms, tls, detail, cause };
}
