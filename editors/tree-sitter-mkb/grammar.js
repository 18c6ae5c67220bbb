/**
 * The .mkb language for tree-sitter: what grammar/mkb.lalrpop reads, for editors.
 *
 * - A newline ends a statement; src/scanner.c knows which newlines do. In `(` and `[` the grammar does not ask for one, so there
 *   they are white space.
 * - A word behind a number is its unit, so that no name is ever taken by one.
 * - Words like `work` or `cache` lead lines; `_name` lets them be names everywhere else.
 *
 * @file Grammar of the .mkb language
 * @license Apache-2.0
 */

/// <reference types="tree-sitter-cli/dsl" />
// @ts-check

const PREC = { or: 1, and: 2, not: 3, compare: 4, sum: 5, product: 6, negation: 7, postfix: 8 };

/** Words that lead lines, and are names where no line begins. */
const LEADING = ["work", "size", "knob", "runs", "engine", "profile", "compose"];

/** @param {RuleOrLiteral} item */
const comma = (item) => optional(seq(item, repeat(seq(",", item)), optional(",")));

/** @param {GrammarSymbols<string>} $ @param {RuleOrLiteral} item */
const lines = ($, item) => optional(seq(item, repeat(seq($._newline, item))));

/** @param {GrammarSymbols<string>} $ @param {RuleOrLiteral} item */
const commaOrLine = ($, item) =>
  optional(seq(item, repeat(seq(choice(",", $._newline, seq(",", $._newline)), item)), optional(",")));

module.exports = grammar({
  name: "mkb",

  externals: ($) => [$._newline],
  extras: ($) => [/\s/, $.doc_comment, $.comment],
  word: ($) => $.identifier,
  supertypes: ($) => [$.item, $.statement, $.library_line, $.expression, $.type],

  rules: {
    source_file: ($) => lines($, $.item),

    // `////` and more is a ruler, not documentation.
    doc_comment: (_) => /\/\/\/([^\/\n][^\n]*)?/,
    comment: (_) => /\/\/[^\n]*/,

    // ---- items ----

    item: ($) =>
      choice(
        $.use_item,
        $.job_item,
        $.task_item,
        $.model_item,
        $.tool_item,
        $.compose_item,
        $.cluster_item,
        $.device_item,
        $.type_item,
        $.enum_item,
      ),

    use_item: ($) => seq("use", field("module", $.path)),
    job_item: ($) =>
      seq(
        "job",
        field("name", $._name),
        field("parameters", $.parameters),
        "->",
        field("result", $.type),
        field("body", optional($.block)),
      ),
    task_item: ($) =>
      seq(
        "task",
        field("name", $._name),
        field("parameters", $.parameters),
        "->",
        field("result", $.type),
        field("body", optional($.library_block)),
      ),
    model_item: ($) => seq("model", $._implementation),
    tool_item: ($) => seq("tool", $._implementation),
    _implementation: ($) =>
      seq(
        field("name", $._name),
        "implements",
        field("task", $._name),
        repeat(seq(",", field("task", $._name))),
        field("body", $.library_block),
      ),
    compose_item: ($) =>
      seq("compose", field("name", $._name), "implements", field("task", $._name), field("body", $.block)),
    cluster_item: ($) => seq("cluster", field("name", $._name), field("body", $.pools)),
    pools: ($) => seq("{", lines($, choice($.pool, alias($._rule, $.property))), "}"),
    pool: ($) =>
      seq(field("device", $._name), "*", field("count", $.quantity), optional(seq("at", field("price", $.quantity)))),
    device_item: ($) => seq("device", field("name", $._name), field("body", $.device_properties)),
    device_properties: ($) => seq("{", lines($, $.property), "}"),
    type_item: ($) => seq("type", field("name", $._name), field("body", $.record_fields)),
    record_fields: ($) => seq("{", commaOrLine($, alias($.parameter, $.record_field)), "}"),
    enum_item: ($) => seq("enum", field("name", $._name), field("body", $.variants)),
    variants: ($) => seq("{", commaOrLine($, $._name), "}"),

    parameters: ($) => seq("(", comma($.parameter), ")"),
    parameter: ($) => seq(field("name", $._name), ":", field("type", $.type)),

    type: ($) => choice($.named_type, $.applied_type, $.optional_type, $.tuple_type),
    named_type: ($) => $._name,
    applied_type: ($) => seq(field("name", $._name), "[", field("argument", $.type), "]"),
    optional_type: ($) => seq($.type, "?"),
    tuple_type: ($) => seq("(", comma($.parameter), ")"),

    // ---- the library ----

    library_block: ($) => seq("{", lines($, $.library_line), "}"),
    library_line: ($) =>
      choice($.work_line, $.size_line, $.knob_line, $.runs_line, $.engine_line, $.profile_line, alias($._rule, $.property)),

    work_line: ($) => seq("work", optional(seq(field("name", $._name), "=")), field("value", $._operand)),
    size_line: ($) => seq("size", field("of", $.path), "=", field("value", $._operand)),
    knob_line: ($) => seq("knob", field("name", $._name), "in", field("values", alias($._atom_list, $.list))),
    runs_line: ($) => seq("runs", "on", field("hardware", $.hardware)),
    engine_line: ($) => seq("engine", field("name", $._name), field("body", $.engine_properties)),
    engine_properties: ($) => seq("{", commaOrLine($, $.property), "}"),
    profile_line: ($) => seq("profile", field("file", $.text)),

    hardware: ($) =>
      prec.right(
        seq(
          field("device", $._name),
          field("conditions", optional($.conditions)),
          optional(seq("*", field("units", choice($.quantity, alias($._quantity_list, $.list))))),
        ),
      ),
    conditions: ($) => seq("(", comma($.clause), ")"),
    _quantity_list: ($) => seq("[", comma($.quantity), "]"),

    property: ($) => seq(field("name", $._name), repeat1($._atom)),
    // The name of a rule is no word that leads lines.
    _rule: ($) => seq(field("name", $.identifier), repeat1($._atom)),
    _atom: ($) => choice($._word, $.text, $.quantity, $.boolean, alias($._atom_list, $.list)),
    _atom_list: ($) => seq("[", comma($._atom), "]"),
    _word: ($) => choice(alias($.identifier, $.word), ...[...LEADING, "to", "on", "of"].map((word) => alias(word, $.word))),

    // ---- statements ----

    block: ($) => seq("{", lines($, $.statement), "}"),

    statement: ($) =>
      choice(
        $.let_statement,
        $.expression_statement,
        $.goal_statement,
        $.slo_statement,
        $.wish_statement,
        $.prefer_statement,
        $.expect_statement,
        $.using_statement,
        $.on_statement,
        $.knob_line,
        $.profile_line,
        alias($._rule, $.rule_statement),
        $.cache_statement,
      ),

    let_statement: ($) =>
      seq(
        "let",
        field("pattern", choice($._name, $.tuple_pattern)),
        optional(seq(":", field("type", $.type))),
        "=",
        field("value", $.expression),
      ),
    tuple_pattern: ($) => seq("(", comma($._name), ")"),
    expression_statement: ($) => $.expression,
    goal_statement: ($) => seq("goal", field("text", $.text)),
    slo_statement: ($) => seq("slo", field("body", $.clauses)),
    clauses: ($) => seq("{", lines($, $.clause), "}"),
    clause: ($) =>
      seq(
        field("metric", $.path),
        field("operator", $._comparison_operator),
        field("limit", $._operand),
        optional(seq("per", field("per", $._name))),
      ),
    wish_statement: ($) =>
      seq(
        choice("minimize", "maximize"),
        field("metric", $.path),
        repeat(
          seq(",", optional("then"), optional(choice("minimize", "maximize")), field("metric", $.path)),
        ),
      ),
    prefer_statement: ($) => seq("prefer", choice($.clause, $._using, alias($._rule, $.rule_statement))),
    expect_statement: ($) =>
      seq(
        "expect",
        choice(
          seq(field("input", $.path), optional(seq("*", field("count", $.quantity))), optional(seq("of", field("each", $.quantity)))),
          field("rate", $.quantity),
          seq(field("input", $._name), field("trace", $.text)),
        ),
      ),
    using_statement: ($) => $._using,
    _using: ($) => seq($.using, optional(seq("on", $.hardware))),
    using: ($) => seq("using", field("implementation", $._name), field("knobs", optional($.knob_pins))),
    knob_pins: ($) => seq("(", comma($.knob_pin), ")"),
    knob_pin: ($) => seq(field("knob", $._name), ":", field("value", $._atom)),
    on_statement: ($) => seq("on", field("cluster", $._name)),
    cache_statement: ($) => seq("cache", $._atom),

    // ---- expressions ----

    // `_operand` is what may stand inside arithmetic; conditions and blocks belong to whole statements.
    expression: ($) => choice($._operand, $.step, $.if_expression, $.for_expression, $.repeat_expression),

    step: ($) => seq(field("call", $.call), repeat1($._condition)),
    _condition: ($) => choice($.using, $.on_condition, $.retry, $.timeout, $.fallback, $.cache),
    on_condition: ($) => seq("on", $.hardware),
    retry: ($) => seq("retry", $.quantity),
    timeout: ($) => seq("timeout", $.quantity),
    fallback: ($) => seq("fallback", $._name),
    cache: ($) => seq("cache", $._atom),

    if_expression: ($) =>
      seq(
        "if",
        field("condition", $._operand),
        optional(seq("expect", field("share", $.quantity))),
        field("then", $.block),
        optional(seq("else", field("else", choice($.block, $.if_expression)))),
      ),
    for_expression: ($) =>
      seq("for", field("name", $._name), "in", field("in", choice($._operand, $.range)), field("body", $.block)),
    range: ($) => seq(field("from", $._operand), "to", field("to", $._operand)),
    repeat_expression: ($) =>
      seq(
        "repeat",
        optional(seq(field("carry", $._name), "=", field("first", $._operand))),
        "up",
        "to",
        field("rounds", choice($.quantity, $._name)),
        optional(seq("expect", field("expected", $.quantity))),
        "until",
        field("until", $._operand),
        field("body", $.block),
      ),

    _operand: ($) =>
      choice(
        $.binary_expression,
        $.unary_expression,
        $.call,
        $.field_expression,
        $._name,
        $.quantity,
        $.text,
        $.boolean,
        $.hole,
        alias($._operand_list, $.list),
        $.parenthesized_expression,
        $.tuple_expression,
      ),
    binary_expression: ($) => {
      /** @param {number} precedence @param {RuleOrLiteral} operator */
      const binary = (precedence, operator) =>
        prec.left(precedence, seq(field("left", $._operand), field("operator", operator), field("right", $._operand)));
      return choice(
        binary(PREC.or, "or"),
        binary(PREC.and, "and"),
        binary(PREC.compare, $._comparison_operator),
        binary(PREC.sum, choice("+", "-")),
        binary(PREC.product, choice("*", "/")),
      );
    },
    _comparison_operator: (_) => choice("==", "!=", "<", "<=", ">", ">="),
    unary_expression: ($) =>
      choice(
        prec(PREC.not, seq(field("operator", "not"), field("operand", $._operand))),
        prec(PREC.negation, seq(field("operator", "-"), field("operand", $._operand))),
      ),
    call: ($) => prec(PREC.postfix, seq(field("callee", $._name), field("arguments", $.arguments))),
    arguments: ($) => seq("(", comma(choice($._operand, $.argument)), ")"),
    argument: ($) => seq(field("name", $._name), ":", field("value", $._operand)),
    field_expression: ($) => prec(PREC.postfix, seq(field("value", $._operand), ".", field("field", $._name))),
    hole: ($) =>
      prec.right(seq("?", optional(field("description", $.text)), optional(seq(":", field("type", $.type))))),
    _operand_list: ($) => seq("[", comma($._operand), "]"),
    parenthesized_expression: ($) => seq("(", $._operand, ")"),
    tuple_expression: ($) => seq("(", $.argument, repeat(seq(",", $.argument)), optional(","), ")"),

    // ---- leaves ----

    path: ($) => seq($._name, repeat(seq(".", $._name))),
    _name: ($) =>
      choice(
        $.identifier,
        ...LEADING.map((word) => alias(word, $.identifier)),
      ),
    identifier: (_) => /[A-Za-z_][A-Za-z0-9_]*/,

    quantity: ($) => prec.right(seq($.number, optional($.unit))),
    number: (_) => /[0-9][0-9_]*(\.[0-9]+)?/,
    unit: ($) => seq(choice(alias($.identifier, "unit"), "%"), optional(token.immediate(/\/[A-Za-z_][A-Za-z0-9_]*/))),
    boolean: (_) => choice("true", "false"),

    text: ($) => seq('"', repeat(choice($._text_content, $.escape, $.placeholder)), token.immediate('"')),
    _text_content: (_) => choice(token.immediate(prec(1, /[^"\\\n{]+/)), token.immediate("{")),
    escape: (_) => token.immediate(/\\[^\n]/),
    placeholder: (_) => token.immediate(prec(1, /\{[A-Za-z_][A-Za-z0-9_.]*\}/)),
  },
});
