"""A robot's own folder, as stretch_body expects one, from the library's templates."""

import json
import os
import subprocess

import yaml

TOOLS = {"RE1V0": "tool_stretch_gripper", "RE2V0": "tool_stretch_dex_wrist", "SE3": "eoa_wrist_dw3_tool_sg3"}
ASK = "import json, stretch_body.robot_params_{0} as p; print(json.dumps(p.configuration_params_template))"


def environment(**variables):
    """Without what says something about another environment's Python."""
    return {k: v for k, v in os.environ.items() if k != "_ROS_WHEELS_BOOTSTRAP_COMPLETE"} | variables


def make_fleet(folder, python, model, tool=None):
    """A robot's folder, made with the library in `python`; returns the variables that name it."""
    name = f"stretch-{model.lower()}-0000"
    (folder / name).mkdir(parents=True)
    asked = subprocess.run(
        [python, "-c", ASK.format(model)], capture_output=True, text=True, check=True, env=environment()
    )
    own = json.loads(asked.stdout.splitlines()[-1])
    own["robot"]["model_name"] = model
    own["robot"]["tool"] = tool or TOOLS[model]
    for file, content in (("configuration", own), ("user", {})):
        (folder / name / f"stretch_{file}_params.yaml").write_text(yaml.safe_dump(content))
    return {"HELLO_FLEET_PATH": str(folder), "HELLO_FLEET_ID": name}
