/** Values as text, and comparisons of values: limited, however deep lists are nested. */
import { type Context, Drop, defaultOperators, type Operators, toValue } from 'liquidjs';
import { charge, chargeSearch, cut } from './limits.ts';

/** The text of a value in the output: lists are joined, and objects, which have no text, give none. */
export function textOf(value: unknown, context: Context): string {
  const plain: unknown = toValue(value);
  if (typeof plain === 'string') return plain;
  if (typeof plain === 'number' || typeof plain === 'boolean') return String(plain);
  if (!Array.isArray(plain)) return '';
  let text = '';
  for (const item of plain) {
    const part = textOf(item, context);
    charge(context, part.length + 1);
    text += part;
  }
  return text;
}

/** The number for a value that is a number or reads as one; else 0, as in Liquid. */
export function numberOf(value: unknown): number {
  const plain: unknown = toValue(value);
  return typeof plain === 'number' || typeof plain === 'string' ? Number(plain) || 0 : 0;
}

type Operator = (left: unknown, right: unknown, context: Context) => ReturnType<Operators[string]>;

/**
 * Comparing two strings is one step, so it is charged. Lists and objects equal only themselves and are neither more nor less than anything:
 * JavaScript would write both out as text for that. Liquid's own values for comparison (`empty`) work as usual.
 */
function bounded(usual: Operator, ofLists: (left: unknown, right: unknown) => boolean): Operator {
  return (left, right, context) => {
    if (left instanceof Drop || right instanceof Drop) return usual(left, right, context);
    if (isCompound(left) || isCompound(right)) return ofLists(left, right);
    if (typeof left === 'string' && typeof right === 'string') charge(context, Math.min(left.length, right.length) / 8);
    return usual(left, right, context);
  };
}

function isCompound(value: unknown): boolean {
  return typeof value === 'object' && value !== null;
}

/** A list contains values equal to an item; a text contains a text. */
const contains: Operator = (left, right, context) => {
  if (typeof left === 'string') return containsText(left, textOf(right, context), context);
  if (!Array.isArray(left)) return false;
  charge(context, left.length);
  return left.includes(right instanceof Drop ? toValue(right) : right);
};

function containsText(text: string, part: string, context: Context): boolean {
  return chargeSearch(context, text, part) ? cut(context, text, part, 'first').length > 1 : text.includes(part);
}

const no = () => false;
const isSame = (left: unknown, right: unknown) => left === right;
const isOther = (left: unknown, right: unknown) => left !== right;

export const operators: Operators = {
  ...defaultOperators,
  '==': bounded(operatorOf('=='), isSame),
  '!=': bounded(operatorOf('!='), isOther),
  '<': bounded(operatorOf('<'), no),
  '>': bounded(operatorOf('>'), no),
  '<=': bounded(operatorOf('<='), no),
  '>=': bounded(operatorOf('>='), no),
  contains,
};

function operatorOf(name: string): Operator {
  const operator = defaultOperators[name];
  if (operator === undefined) throw new Error(`liquidjs has no operator ${name}`);
  return operator as Operator;
}
