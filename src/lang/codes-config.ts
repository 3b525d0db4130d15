import type { CodeEntry } from "./codes.ts";

/** The codes of diagnostics about the content of a configuration that parses: blocks and their references, arguments, expressions. Like codes.ts. */
export const configCodes = {
  "component.build": {
    title: "Component did not start",
    meaning: "The arguments are right by themselves, but the component cannot work with them, as its message says.",
    remedy: "Change what the message names. The configuration that ran before goes on running.",
  },
  "component.update": {
    title: "Component refused new arguments",
    meaning:
      "The running component cannot take the changed arguments, as its message says; it goes on with the old ones.",
    remedy: "Change what the message names.",
  },
  "config.attribute_at_top": {
    title: "Argument outside of a block",
    meaning: "Only blocks may stand at the top of a configuration or module.",
    remedy: "Move the argument into the block that it configures.",
  },
  "config.block_not_allowed": {
    title: "Block in the wrong place",
    meaning:
      "Blocks of this kind may not stand here: a module holds no agent settings, an imported file only declarations.",
    remedy: "Move the block to where it belongs.",
  },
  "config.community": {
    title: "Community component",
    meaning: "The component is maintained by the community and off unless asked for.",
    remedy: "Start the agent with `--feature.community-components.enabled`.",
  },
  "config.cycle": {
    title: "Circle of references",
    meaning: "Blocks refer to each other in a circle, so that none of them can be evaluated first.",
    remedy: "Remove one of the references that the message lists.",
  },
  "config.bad_value": {
    title: "Malformed value",
    meaning:
      "The text has the right type, but not the form that the argument asks for: a duration, a size, a regular expression.",
    remedy: "Correct the text as the message says. Durations look like `1m30s`, sizes like `20MiB`.",
  },
  "config.deprecated": {
    title: "Deprecated name",
    meaning: "The argument, block or function still works, but will not forever.",
    remedy: "Use what the hint names instead.",
  },
  "config.empty_secret": {
    title: "Secret from an empty variable",
    meaning: "A password, token or key is empty because the environment variable that it comes from is not set.",
    remedy: "Set the variable where the agent is started, such as in its unit file or container.",
  },
  "config.suspicious": {
    title: "Hardly what was meant",
    meaning: "The configuration is valid, but does something that nobody wants, such as a rule that can never match.",
    remedy: "Change what the message names, as it says.",
  },
  "config.no_effect": {
    title: "Argument without effect",
    meaning: "The argument tunes an inside of Alloy that this agent does not have. It is accepted and changes nothing.",
    remedy: "Remove it, if the configuration is not used with Alloy any more.",
  },
  "config.duplicate_argument": {
    title: "Repeated argument",
    meaning: "An argument is given twice in one block.",
    remedy: "Remove one of them.",
  },
  "config.duplicate_block": {
    title: "Repeated block",
    meaning: "A block that may be written once is written again, or two blocks of one kind have the same label.",
    remedy: "Remove one of them, or give it another label.",
  },
  "config.enum": {
    title: "Unknown value",
    meaning: "The argument takes one of a few values, and this is none of them.",
    remedy: "Use one of the values that the hint lists.",
  },
  "config.missing_argument": {
    title: "Missing argument",
    meaning: "The block cannot do without the argument.",
    remedy: "Add it.",
  },
  "config.missing_block": {
    title: "Missing block",
    meaning: "The block around cannot do without this one.",
    remedy: "Add it.",
  },
  "config.missing_label": {
    title: "Missing label",
    meaning: "Blocks of this kind are told apart by their labels.",
    remedy: 'Write a label behind the block\'s name: `name "label" { … }`.',
  },
  "config.not_a_block": {
    title: "Block written as an argument",
    meaning: "The name is that of a block, but is followed by `=`.",
    remedy: "Write `name { … }`.",
  },
  "config.not_an_argument": {
    title: "Argument written as a block",
    meaning: "The name is that of an argument, but is followed by `{`.",
    remedy: "Write `name = …`.",
  },
  "config.range": {
    title: "Out of range",
    meaning:
      "A number is too small or too large, a text or a list too short or too long, or a block is written too often.",
    remedy: "Keep to the limit that the message names.",
  },
  "config.removed_component": {
    title: "Component of the past",
    meaning:
      "Earlier versions of Alloy had the component, today's has it no more, and this agent does not have it either.",
    remedy: "Use what the message names in its place.",
  },
  "config.rule": {
    title: "Values that do not go together",
    meaning: "Each value is right by itself, but not together with the others of its block.",
    remedy: "Change one of the values that the message names.",
  },
  "config.shadowed_component": {
    title: "Name of a built-in component",
    meaning: "A `declare` block has the name of a component that the agent has itself.",
    remedy: "Choose another name.",
  },
  "config.stability": {
    title: "Not stable enough",
    meaning: "The component, argument or function is less stable than `--stability.level` allows.",
    remedy: "Do without it, or start the agent with the level that the hint names.",
  },
  "config.unexpected_label": {
    title: "Label on a block without labels",
    meaning: "Blocks of this kind take no label.",
    remedy: "Remove the label.",
  },
  "config.unknown_argument": {
    title: "Unknown argument",
    meaning: "The block has no argument of this name.",
    remedy: "Correct the name; the reference page of the component lists all arguments.",
  },
  "config.unknown_block": {
    title: "Unknown block",
    meaning: "No block of this name may stand here.",
    remedy:
      "Correct the name, or move the block to where it belongs; the reference page of the component lists all blocks.",
  },
  "config.unknown_component": {
    title: "Unknown component",
    meaning: "No built-in component, `declare` block or import has this name.",
    remedy: "Correct the name; docs/reference lists the components.",
  },
  "config.unknown_reference": {
    title: "Reference to nothing",
    meaning:
      "An expression names a block that is not in the same module. Modules see their arguments, not the blocks around them.",
    remedy: "Correct the name, add the block, or hand the value to the module as an argument.",
  },
  "config.unsupported": {
    title: "Not supported",
    meaning:
      "Alloy knows the argument or block, but this agent does not have what stands behind it. Ignoring it would do something else than asked.",
    remedy: "Remove it, if you can do without it.",
  },
  "config.unsupported_component": {
    title: "Component that is not there yet",
    meaning: "Alloy has the component, this agent does not have it yet.",
    remedy: "Remove the block, or leave this pipeline to Alloy; docs/reference lists the components that there are.",
  },
  "config.wiring": {
    title: "Data goes nowhere or never comes",
    meaning:
      "The configuration is valid, but as its blocks hang together a component gets no data, nobody takes what it gives, or data ends before it has reached a destination.",
    remedy: "Connect the block as the message says, or remove it.",
  },
  "config.wrong_type": {
    title: "Wrong type",
    meaning:
      "The value is of another type than the argument. Numbers become text and text of digits becomes numbers; nothing else is converted, and secrets never become text.",
    remedy: "Give a value of the type that the message names.",
  },
  "expression.index_range": {
    title: "Index out of range",
    meaning: "The list has fewer elements than the index asks for. Indexes start at 0.",
    remedy: "Use a smaller index, or make sure that the list has the element.",
  },
  "expression.number_range": {
    title: "Number out of range",
    meaning: "No 64-bit float can hold the number.",
    remedy: "Use a smaller number.",
  },
  "expression.too_large": {
    title: "Value too large",
    meaning: "The value of the expression is longer than a text can be, or nested more deeply than can be handled.",
    remedy: "Make it smaller.",
  },
  "expression.unknown_field": {
    title: "Unknown field",
    meaning: "The object, or the component's exports, has no field of this name.",
    remedy: 'Correct the name. `object["name"]` gives null for a missing field instead of an error.',
  },
  "expression.unknown_name": {
    title: "Unknown name",
    meaning: "There is no component, argument or function of this name where the expression stands.",
    remedy: "Correct the name. Text needs quotes.",
  },
  "expression.wrong_type": {
    title: "Wrong type in an expression",
    meaning: "An operator, a function or an index got a value of a type that it does not take, or a function failed.",
    remedy: "See the message for what it takes.",
  },
  "import.unreadable": {
    title: "Module that cannot be read",
    meaning: "The file or folder of an import is not there, may not be read, or holds no configuration.",
    remedy: "Correct the path or the permissions.",
  },
} as const satisfies Record<string, CodeEntry>;
