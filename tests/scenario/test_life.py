"""The life of one call, from the agent's first word to the last audit row."""
from cases import case
from harness import Org, wait_for
from mcp_client import McpWs, text_of


@case()
def approve_once(rt):
    """An agent lists tools, reads, writes; the write waits, is approved, runs once, is told."""
    org = Org(rt)
    org.write("notes.txt", "old\n")
    with McpWs(rt, org.credential) as agent:
        assert {"files__read", "files__write"} <= set(agent.tools())
        assert "old" in text_of(agent.call("files__read", {"path": "notes.txt"}))
        call = agent.call_start("files__write", {"path": "notes.txt", "content": "new\n",
                                                 "overwrite": True})
        approval = org.wait_pending()
        assert org.read("notes.txt") == "old\n"
        said = org.ann.approve(approval)
        assert said["is_decided"] and said["state"] in ("approved", "claimed", "dispatched",
                                                        "succeeded"), said
        result = call.wait()
        assert not result.get("isError"), result
        assert org.read("notes.txt") == "new\n"
        row = org.wait_state(approval, "succeeded")
        wait_for("delivery", lambda: org.row(approval)["delivered_at"])
        assert row["dispatch_number"], row
        assert org.kinds(approval) == ["approval.requested", "approval.approved",
                                       "approval.claimed", "approval.dispatched",
                                       "approval.succeeded", "approval.delivered"], org.kinds(approval)
    assert org.files() == ["notes.txt"]
