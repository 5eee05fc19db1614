"""A job's other candidates can be published too: one version of each candidate, not of each job."""

from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("head_versions") as versions:
        versions.drop_constraint(op.f("uq_head_versions_job_id"), type_="unique")
        versions.create_unique_constraint(
            op.f("uq_head_versions_job_id_method"), ["job_id", "method"]
        )


def downgrade() -> None:
    # The earlier schema has no place for further versions of a job, nor for aliases of them.
    op.execute(
        "DELETE FROM head_aliases WHERE EXISTS (SELECT 1 FROM head_versions AS v "
        "JOIN jobs ON jobs.id = v.job_id WHERE v.method <> jobs.method "
        "AND v.tenant_id = head_aliases.tenant_id AND v.name = head_aliases.name "
        "AND v.version = head_aliases.version)"
    )
    op.execute(
        "DELETE FROM head_versions WHERE method <> "
        "(SELECT method FROM jobs WHERE jobs.id = head_versions.job_id)"
    )
    with op.batch_alter_table("head_versions") as versions:
        versions.drop_constraint(op.f("uq_head_versions_job_id_method"), type_="unique")
        versions.create_unique_constraint(op.f("uq_head_versions_job_id"), ["job_id"])
