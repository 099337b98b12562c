//! One run of a flow. Executions are made by calls and kept in a table of their own; this is what the API shows of them.

use crate::{Access, Class, Home, Kind, Priority, Property, RecordType, Status, TypeDefinition};

const fn shown(name: &'static str, kind: Kind, description: &'static str) -> Property {
    Property::new(name, kind, description).access(Access::ReadOnly).optional().class(Class::Neither)
}

pub(super) static DEFINITION: TypeDefinition = TypeDefinition {
    record_type: RecordType::Execution,
    path: "execution",
    description: "One run of a flow.",
    home: Home::ProjectOrBundle,
    can_be_readonly: false,
    is_managed: false,
    is_identity: true,
    properties: &[
        shown("flow", Kind::Object, "The flow version that runs: `id`, `name`, `version`, `digest`."),
        shown("flow_id", Kind::Id(Some(RecordType::Flow)), "The id of that flow."),
        shown(
            "webhook_id",
            Kind::Id(Some(RecordType::Webhook)),
            "The id of the webhook, or of the setting that is one.",
        ),
        shown(
            "user_id",
            Kind::Id(Some(RecordType::User)),
            "The user that answers for it: whose activity keeps it going in development mode.",
        ),
        shown("parent_id", Kind::Id(Some(RecordType::Execution)), "The execution whose flow started it."),
        shown("priority", Kind::Enum(Priority::NAMES), "Its place among those that wait for a slot."),
        shown("webhook", Kind::Object, "The webhook that was called: `id`, `name`."),
        shown("status", Kind::Enum(Status::NAMES), "Where it stands."),
        shown("status_message", Kind::LongText, "The last progress message, or the reason of its end."),
        shown("failure", Kind::Object, "Why it ended with an error."),
        shown("is_productive", Kind::Bool, "Productive or development mode."),
        shown("attempt", Kind::Count, "How often it was begun."),
        shown("is_durable", Kind::Bool, "Whether it is run again when it was cut off."),
        shown("input_value", Kind::Json, "What the flow was given."),
        shown("output_value", Kind::Object, "The outputs."),
        shown("started_at", Kind::Timestamp, "When its flow began to run."),
        shown("ended_at", Kind::Timestamp, "When it ended."),
        shown(
            "wake_at",
            Kind::Timestamp,
            "When it goes on by itself, at the latest, where it waits outside of memory.",
        ),
        shown("queue_wait_us", Kind::Count, "Time it was ready and waited for a slot, in microseconds."),
        shown("run_time_us", Kind::Count, "Time its flow ran, in microseconds, without the time that it waited."),
    ],
};
